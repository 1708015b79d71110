"""What writing a format needs beside carve: looked for before anything runs, so that nobody waits for a file that cannot be written."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec

from carve.export.options import ExportOptions
from carve.records import CarveError

NO_USD = "USD needs the package usd-core: pip install 'carve[export]'."
NO_DRACO = "Draco needs the package DracoPy: pip install 'carve[export]'."
NO_MESHOPT = "Fewer triangles need the package meshoptimizer: pip install 'carve[export]' (it is built on installation: g++ is needed)."


def check_tools(options: ExportOptions, formats: Collection[str]) -> None:
    """Raise CarveError if a package or program that the options or formats need is not installed."""
    few = options.triangles is not None or "lod" in formats or options.compress == "meshopt"
    for wanted, package, missing in (
        ("usdz" in formats, "pxr", NO_USD),
        (options.compress == "draco", "DracoPy", NO_DRACO),
        (few, "meshoptimizer", NO_MESHOPT),
    ):
        if wanted and find_spec(package) is None:
            raise CarveError(missing)
    if "fbx" in formats:
        from carve.export.formats.fbx import blender

        blender()
