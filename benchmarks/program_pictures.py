"""The pictures of docs/assets.md: one avatar in programs that run here: three.js, three-vrm, TalkingHead, Blender, Godot.

    python benchmarks/program_pictures.py FOLDER --blender PYTHON_WITH_BPY --godot godot3 [--out docs/pictures]

Godot is Debian's godot3; without a screen it needs xvfb-run.

FOLDER is a finished output folder. A picture of `python -m carve reconstruct examples/person.jpg` may be shown; others' photos may not.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from asset import META, in_the_browser
from carve.export.folder import read_avatar
from carve.export.options import ExportOptions
from carve.export.outputs import write_format
from mixamo_walk import write_mixamo_walk

HERE = Path(__file__).parent
SIZE = (360, 480)
"""Of one view."""
BACKGROUND = (223, 227, 232, 255)
"""Behind pictures that leave it open."""
PROGRAMS = ("three", "three_vrm", "talkinghead", "blender", "godot")
SMILE = {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "jawOpen": 0.25, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3}


def sheet(path: Path, pictures: list[bytes]) -> None:
    """Views side by side as a JPEG."""
    images = [Image.open(io.BytesIO(picture)).convert("RGBA") for picture in pictures]
    images = [Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image).convert("RGB") for image in images]
    whole = Image.new("RGB", (sum(image.width for image in images), images[0].height))
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width
    whole.save(path, "JPEG", quality=82, optimize=True)


def views(scenario: str, wanted: list[dict[str, Any]], *files: Path) -> list[bytes]:
    """Pictures by the tests' page."""
    query = f"{scenario}&size={SIZE[0]}x{SIZE[1]}&views={quote(json.dumps(wanted))}" + ("&clip=1" if len(files) > 1 else "")
    return [base64.b64decode(url.split(",")[1]) for url in in_the_browser(query, *files)["pictures"]]


def by_godot(program: str, avatar: Path, folder: Path) -> bytes:
    """A picture of a GLB file by Godot 3: a project of one script that imports it, then shows it."""
    project = folder / "godot"
    project.mkdir()
    shutil.copy(avatar, project / "avatar.glb")
    shutil.copy(HERE / "godot_picture.gd", project)
    driver = '[rendering]\nquality/driver/driver_name="GLES2"\n'
    (project / "project.godot").write_text(f'config_version=4\n[application]\nconfig/name="carve"\n{driver}', encoding="utf-8")
    screen = ["xvfb-run", "-a", "-s", "-screen 0 800x1000x24"] if shutil.which("xvfb-run") else []
    begin = [*screen, program, "--path", str(project)]
    subprocess.run([*begin, "-e", "-q"], capture_output=True, timeout=300, check=False)  # imports
    size = f"{2 * SIZE[0]}x{2 * SIZE[1]}"
    subprocess.run([*begin, "--resolution", size, "-s", "godot_picture.gd"], capture_output=True, timeout=300, check=False)
    return (project / "picture.png").read_bytes()


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "pictures")
    parser.add_argument("--blender", help="a Python that has bpy")
    parser.add_argument("--godot", help="the program godot3")
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=PROGRAMS, help="these pictures alone")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    avatar = read_avatar(arguments.folder)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        plain, mixamo, vrm = (folder / name for name in ("avatar.glb", "mixamo.glb", "avatar.vrm"))
        write_format(plain, "glb", avatar, ExportOptions(triangles=60_000))
        still = folder / "still.glb"
        write_format(still, "glb", avatar, ExportOptions(triangles=60_000, blendshapes="none"))
        write_format(mixamo, "glb", avatar, ExportOptions(skeleton="mixamo", triangles=20_000))
        write_format(vrm, "vrm", avatar, ExportOptions(vrm=META, triangles=20_000, cloth_bones=True))
        write_mixamo_walk(folder / "walk.bvh")
        whole = {"at": [0, 0.95, 0], "from": [0.9, 1.25, 4.4], "fov": 30}
        head = {"at": [0, 0.04, 0.05], "from": [0.25, 0.07, 0.95], "fov": 17, "head": True}
        blink = {"eyeBlinkLeft": 1, "eyeBlinkRight": 1}
        three = [whole, head | {"shapes": SMILE}, head | {"shapes": {"jawOpen": 0.7}}, head | {"shapes": blink}]
        if "three" in arguments.only:
            sheet(arguments.out / "three.jpg", views("pictures", three, plain))
        side = {"at": [0, 0.95, 0], "from": [3.6, 1.25, 2.6], "fov": 30}
        if "three_vrm" in arguments.only:
            walking = [side | {"time": time} for time in (0.1, 0.35, 0.6, 0.85)]
            sheet(arguments.out / "three_vrm.jpg", views("pictures", walking, vrm, folder / "walk.bvh"))
        if "talkinghead" in arguments.only:
            sheet(arguments.out / "talkinghead.jpg", views("talkinghead", [], mixamo))
        if "blender" in arguments.only and arguments.blender is not None:
            target = folder / "blender.png"
            command = [arguments.blender, str(HERE / "blender_picture.py"), "--", str(plain), str(target), *map(str, SIZE)]
            subprocess.run(command, check=True, capture_output=True)
            sheet(arguments.out / "blender.jpg", [target.read_bytes()])
        if "godot" in arguments.only and arguments.godot is not None:
            sheet(arguments.out / "godot.jpg", [by_godot(arguments.godot, still, folder)])


if __name__ == "__main__":
    main()
