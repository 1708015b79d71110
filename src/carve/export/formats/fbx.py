"""FBX by a Blender that the user has: a process of its own that reads our GLB and writes the file. Blender is no part of carve."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from carve.records import CarveError

SCRIPT = """
import sys
import bpy
source, target = sys.argv[sys.argv.index("--") + 1 :]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=source)
bpy.ops.export_scene.fbx(
    filepath=target, path_mode="COPY", embed_textures=True, add_leaf_bones=False, primary_bone_axis="Y", secondary_bone_axis="X",
    apply_scale_options="FBX_SCALE_UNITS", object_types={"ARMATURE", "MESH", "EMPTY"}, use_armature_deform_only=False,
)
"""
"""Run inside Blender. Y along the bones, as in the GLB; metres; textures inside the file."""
PATIENCE = 300
"""Seconds."""


def blender() -> list[str]:
    """The command that runs Blender on a script: `$CARVE_BLENDER` (the program, or a Python that has bpy), else `blender`."""
    given = os.environ.get("CARVE_BLENDER")
    program = given or shutil.which("blender")
    if program is None or shutil.which(program) is None:
        raise CarveError("FBX is written by Blender, which was not found: install it, or name it in CARVE_BLENDER.")
    if Path(program).name.startswith("python"):
        return [program]
    return [program, "--background", "--factory-startup", "--python-exit-code", "1", "--python"]


def fbx_bytes(glb: bytes) -> bytes:
    """The avatar of an uncompressed GLB file as FBX. Raises CarveError if there is no Blender or it fails."""
    command = blender()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "avatar.glb").write_bytes(glb)
        (folder / "convert.py").write_text(SCRIPT, encoding="utf-8")
        try:
            done = subprocess.run(
                [*command, str(folder / "convert.py"), "--", str(folder / "avatar.glb"), str(folder / "avatar.fbx")],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CarveError(f"Blender could not write the FBX file: {error}.") from error
        if done.returncode != 0 or not (folder / "avatar.fbx").is_file():
            said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
            raise CarveError(f"Blender could not write the FBX file: {said[-1] if said else 'it said nothing'}.")
        return (folder / "avatar.fbx").read_bytes()
