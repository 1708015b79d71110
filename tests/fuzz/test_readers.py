"""Every reader reads its own files and refuses damaged ones in one sentence; the long runs are `make fuzz`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz.targets import TARGETS, attempt

COUNT = {"models": 10, "depth-models": 10, "depth-conventions": 20, "weights": 15, "avatars": 12, "garments": 20, "bodies": 25}
"""Damaged files a reader, 40 where nothing else is said; the slow ones get fewer."""


@pytest.mark.parametrize("reader", list(TARGETS))
def test_damaged_files_are_refused_in_one_sentence(reader: str, tmp_path: Path) -> None:
    if reader.endswith(("models", "conventions")):
        pytest.importorskip("onnx")
    target = TARGETS[reader]
    for name, data in target.seeds().items():
        if name.endswith(".heic") and find_spec("pi_heif") is None:
            continue
        (tmp_path / name).write_bytes(data)
        target.read(tmp_path / name)
    findings = []
    for seed in range(COUNT.get(reader, 40)):
        name, data = target.sample(seed)
        if found := attempt(target, name, data, tmp_path):
            findings.append(f"seed {seed} {name}: {found}")
    assert not findings
