"""Contact sheets: the previews of all outputs with their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

COLUMNS, ROWS = 3, 2
TILE_WIDTH, TILE_HEIGHT, LABEL = 760, 700, 26
"""Pixels of a tile and of the strip with its name."""


def write_sheets(folder: Path, previews: Sequence[tuple[str, Path]]) -> list[Path]:
    """Write sheets of six previews each; a name without a picture leaves an empty tile."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("fast_*.png"):
        old.unlink()
    font = ImageFont.load_default(18)
    files: list[Path] = []
    for first in range(0, len(previews), COLUMNS * ROWS):
        page = previews[first : first + COLUMNS * ROWS]
        sheet = Image.new("RGB", (min(len(page), COLUMNS) * TILE_WIDTH, -(-len(page) // COLUMNS) * (TILE_HEIGHT + LABEL)), "white")
        draw = ImageDraw.Draw(sheet)
        for place, (name, path) in enumerate(page):
            left, top = place % COLUMNS * TILE_WIDTH, place // COLUMNS * (TILE_HEIGHT + LABEL)
            draw.text((left + 8, top + 2), name, fill="black", font=font)
            if path.is_file():
                with Image.open(path) as preview:
                    tile = preview.convert("RGB")
                tile.thumbnail((TILE_WIDTH - 8, TILE_HEIGHT), Image.Resampling.LANCZOS)
                sheet.paste(tile, (left, top + LABEL))
        files.append(folder / f"fast_{len(files) + 1}.png")
        sheet.save(files[-1])
    return files
