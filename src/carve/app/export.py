"""Options of the avatar's files, and `carve export`: a finished folder's avatar as another program wants it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carve.export.options import ExportOptions, Format

FORMATS = ("glb", "vrm", "usdz", "fbx", "lod")
"""A copy of `export.options`' closed choice, which cannot be imported without NumPy; a test holds them equal."""


def add_export(command: argparse.ArgumentParser) -> None:
    """The arguments of `carve export`."""
    command.add_argument("avatar", type=Path, help="a finished output folder")
    command.add_argument("--to", required=True, metavar="FORMAT", help=f"one of {', '.join(FORMATS)}")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="the file to write (default: into the folder; of lod the name of the first)"
    )
    add_options(command, formats=False)


def add_options(command: argparse.ArgumentParser, formats: bool) -> None:
    """Options that `reconstruct` and `export` share; `formats` adds those that ask for more files."""
    files = command.add_argument_group("the avatar's files (docs/assets.md)")
    files.add_argument("--rest", default="t", metavar="POSE", help="rest pose: t (arms level, default) or a (arms lowered)")
    files.add_argument("--skeleton", default="vrm", metavar="KIND", help="names and bones of vrm (default), mixamo or unreal")
    files.add_argument("--prefix", default="", metavar="TEXT", help="put before bone names, such as mixamorig:")
    files.add_argument("--blendshapes", default="arkit", metavar="KIND", help="arkit (52 face shapes and 15 visemes, default) or none")
    files.add_argument("--triangles", type=int, metavar="N", help="at most N triangles, with a normal map of the fine surface")
    files.add_argument("--texture-size", type=int, metavar="T", help="texels along a side")
    files.add_argument("--compress", default="none", metavar="KIND", help="of GLB files: none (default), meshopt or draco")
    files.add_argument("--cloth-bones", action="store_true", help="chains of bones in a skirt, a coat and long hair")
    files.add_argument("--copyright", default="", metavar="TEXT", help="who holds the rights, written into the files")
    if formats:
        files.add_argument("--vrm", action="store_true", help="also write avatar.vrm (VRM 1.0)")
        files.add_argument("--usd", action="store_true", help="also write avatar.usdz")
        files.add_argument("--fbx", action="store_true", help="also write avatar.fbx; needs Blender")
        files.add_argument(
            "--lod", action="store_true", help="also write avatar_lod0.glb to avatar_lod2.glb, about 60,000 to 8,000 triangles"
        )
    vrm = command.add_argument_group("VRM's licence; what is not said is forbidden")
    vrm.add_argument("--vrm-name", metavar="TEXT", help="the avatar's name (default: the photo's)")
    vrm.add_argument("--vrm-author", action="append", default=[], metavar="TEXT", help="who made it; may be repeated; required")
    vrm.add_argument("--vrm-licence", metavar="URL", help="such as https://vrm.dev/licenses/1.0/; required")
    vrm.add_argument("--vrm-avatar-permission", metavar="WHO", help="onlyAuthor (default), onlySeparatelyLicensedPerson, everyone")
    vrm.add_argument("--vrm-commercial-usage", metavar="WHO", help="personalNonProfit (default), personalProfit, corporation")
    vrm.add_argument("--vrm-credit-notation", metavar="HOW", help="required (default), unnecessary")
    vrm.add_argument("--vrm-modification", metavar="HOW", help="prohibited (default), allowModification, allowModificationRedistribution")
    vrm.add_argument(
        "--vrm-allow", action="append", default=[], metavar="USE", help="violence, sexual, political, antisocial, redistribution; repeat"
    )


def options_from(arguments: argparse.Namespace) -> ExportOptions:
    """The options, checked; a CarveError says what cannot be."""
    from carve.export.options import ExportOptions, vrm_meta
    from carve.export.tools import check_tools

    wanted: dict[str, Format] = {"vrm": "vrm", "usd": "usdz", "fbx": "fbx", "lod": "lod"}
    formats: tuple[Format, ...] = tuple(kind for flag, kind in wanted.items() if getattr(arguments, flag, False))
    meta = None
    if "vrm" in formats or getattr(arguments, "to", None) == "vrm":
        choices = {
            key: getattr(arguments, f"vrm_{key}") for key in ("avatar_permission", "commercial_usage", "credit_notation", "modification")
        }
        meta = vrm_meta(arguments.vrm_name, arguments.vrm_author, arguments.vrm_licence, choices, arguments.vrm_allow, arguments.copyright)
    options = ExportOptions(
        rest=arguments.rest,
        skeleton=arguments.skeleton,
        prefix=arguments.prefix,
        blendshapes=arguments.blendshapes,
        triangles=arguments.triangles,
        compress=arguments.compress,
        texture=arguments.texture_size,
        cloth_bones=arguments.cloth_bones,
        formats=formats,
        vrm=meta,
        copyright=arguments.copyright,
    )
    check_tools(options, (*formats, *((arguments.to,) if getattr(arguments, "to", None) else ())))
    return options


def run_export(arguments: argparse.Namespace) -> list[Path]:
    """Write one format of a finished folder's avatar; the files."""
    from carve.export.folder import read_avatar
    from carve.export.outputs import FILES, write_format
    from carve.files.whole import check_place, writing
    from carve.records import CarveError

    if arguments.to not in FORMATS:
        raise CarveError(f"--to cannot be '{arguments.to}'; choose from {', '.join(FORMATS)}.")
    options = options_from(arguments)
    target = arguments.out or arguments.avatar / FILES[arguments.to]
    if arguments.out is not None:
        check_place(arguments.out)
    avatar = read_avatar(arguments.avatar)
    with writing(target):
        return write_format(target, arguments.to, avatar, options)
