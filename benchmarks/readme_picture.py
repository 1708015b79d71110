"""The picture that the README begins with: the example's preview, as a JPEG.

    python benchmarks/readme_picture.py out/demo docs/pictures/avatar.jpg

OUT/preview.png shows the photo, the avatar through its camera, from the left, the right and behind, and walking, textured; below them the
normals and the grey surface. `make picture` makes the example and draws it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

WIDE = 1400
"""Pixels."""


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="an output folder")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    sheet = Image.open(arguments.out / "preview.png").convert("RGB")
    wide = min(WIDE, sheet.width)
    sheet.resize((wide, round(sheet.height * wide / sheet.width)), Image.Resampling.LANCZOS).save(arguments.picture, quality=88)


if __name__ == "__main__":
    main()
