"""A worker whose pipeline takes no time: its stages are files, and what comes out is the tests' capsule avatar.

All else is the real worker: the queue, the table, the pipe to the server. `CARVE_FAKE_SECONDS` is how long each stage takes;
with `CARVE_FAKE_MOTIONS=0` it draws up no motions, which take longer than all else here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


def reconstruct(photo: Any, settings: Any, *, out: Path, existing: str, start: str | None, progress: Any, **given: Any) -> None:
    """Make the stages' files that are not there, then the outputs."""
    from carve.app.cli import STAGES
    from carve.export.glb import write_avatar_glb
    from carve.io.image import write_png
    from people import capsule_avatar

    stages = out / "stages"
    stages.mkdir(parents=True, exist_ok=True)
    (stages / "run.json").write_text("{}")
    given_now = json.dumps([given.get("mask") is not None and float(given["mask"].sum()), str(given.get("landmarks"))])
    for stage in STAGES:
        made = stages / f"{stage}.txt"
        if existing == "resume" and made.exists() and made.read_text() == given_now and start is None:
            progress(stage, 1.0)
            continue
        progress(stage, 0.0)
        time.sleep(float(os.environ.get("CARVE_FAKE_SECONDS", "0.05")))
        made.write_text(given_now)
        with (stages / "log.txt").open("a") as log:
            log.write(stage + "\n")
        progress(stage, 1.0)
    avatar = capsule_avatar()
    write_avatar_glb(out / "avatar.glb", avatar)
    pixels = photo.pixels
    write_png(out / "thumbnail.png", pixels[:64, :64])
    write_png(out / "preview.png", pixels[:64, :64])
    write_png(out / "mask.png", (pixels[..., 0] > 100).astype("uint8") * 255)
    points = {"nose": [0.5, 0.2], "left_shoulder": [0.6, 0.4], "right_shoulder": [0.4, 0.4]}
    height, width = pixels.shape[:2]
    document = {name: {"pixel": [u * width, v * height], "confidence": 0.9} for name, (u, v) in points.items()}
    (stages / "landmarks.json").write_text(json.dumps(document))
    report = {
        "confidence": {"trust": 1.0, "joints": {"head": 0.9}},
        "warnings": ["A guess."],
        "seconds": {"observe": 1.0},
        "settings": {"preset": "fast"},
    }
    (out / "report.json").write_text(json.dumps(report | {"body": {"height": 1.7, "height_source": "prior"}}))


if __name__ == "__main__":
    pipeline: Any = ModuleType("carve.pipeline")
    pipeline.reconstruct = reconstruct
    sys.modules["carve.pipeline"] = pipeline
    from carve.web import options
    from carve.web.jobs import worker

    options.Plan.settings = lambda self: None  # type: ignore[method-assign, assignment, return-value]
    if os.environ.get("CARVE_FAKE_MOTIONS") == "0":
        worker._Notes.outputs = lambda self, plan: None  # type: ignore[method-assign]
    worker.main()
