"""What the tailor's clothes are worth, for `benchmarks/synth.py`: families, drapes, failures, and the relief of the true front normals."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from carve.synth.cloth.library import FAILED, GIVEN_UP
from carve.synth.store.shard_reader import ShardSet
from carve.synth.tailor.carried import CARRIED
from carve.synth.tailor.families.every import FAMILIES
from carve.synth.tailor.solid_pieces import HATS, SHOES

TALL, SIGMA = 480, 6.0
"""Pixels from head to sole, and the Gaussian that means are taken with: those of the evaluation's `look.py`."""


def _sewn(library: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """What is said of all members, of the tailor's pieces, and the names of the assets' garments."""
    metas = [json.loads(path.read_text()) for path in sorted(library.glob("*.json"))]
    pieces = [piece for meta in metas if meta.get("tailored") for piece in meta["pieces"]]
    return metas, pieces, [meta["asset"] for meta in metas if not meta.get("tailored")]


def families(library: Path) -> dict[str, Any]:
    """How many families the tailor knows, and how many pieces of each the library holds."""
    _, pieces, others = _sewn(library)
    found = Counter(piece["design"]["family"] for piece in pieces)
    stiff = len(SHOES) + len(HATS) + len(CARRIED)
    return {
        "known": len(FAMILIES) + stiff,
        "draped": len(FAMILIES),
        "in_library": len(found),
        "assets": len(set(others)),
        "pieces": dict(found),
    }


def drapes(library: Path) -> dict[str, Any]:
    """Pieces and failures of a library; a member with a garment of the assets is one piece."""
    metas, pieces, others = _sewn(library)
    failed, given_up = _lines(library / FAILED), _lines(library / GIVEN_UP)
    total = len(pieces) + len(others)
    return {
        "members": len(metas),
        "drapes": total,
        "tailored": len(pieces),
        "standing_share": sum(meta["pose"].startswith("standing") for meta in metas) / max(len(metas), 1),
        "failed": len(failed),
        "failed_share": len(failed) / max(len(failed) + total, 1),
        "given_up": len(given_up),
        "seconds_each": float(np.mean([piece["seconds"] for piece in pieces] or [0.0])),
        "vertices_median": float(np.median([piece["vertices"] for piece in pieces] or [0.0])),
        "stretched_worst": max((piece["stretched"] for piece in pieces), default=0.0),
        "inside_worst": max((piece["inside"] for piece in pieces), default=0.0),
    }


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line] if path.exists() else []


def tailored(people: list[tuple[ShardSet, int]]) -> dict[str, float]:
    """Shares of the people's pieces (clothes, shoes, hats) that the tailor made, and that come from the assets."""
    names = [layer["name"] for shards, person in people for layer in shards.person(person)["layers"]]
    parts = [layer["part"] for shards, person in people for layer in shards.person(person)["layers"]]
    pieces = [name for name, part in zip(names, parts, strict=True) if part not in ("skin", "hair", "eyes")]
    own = sum(name.startswith("tailor-") for name in pieces)
    return {"pieces": len(pieces), "tailored_share": own / max(len(pieces), 1), "assets_share": 1 - own / max(len(pieces), 1)}


def relief_of(normals: np.ndarray, mask: np.ndarray) -> float:
    """Mean angle in degrees of unit normals (H, W, 3) to their own Gaussian mean, between 18 % and 88 % of the person's height.

    The person stands TALL pixels high; 6 px at the outline are left out.
    """
    weight = ndimage.gaussian_filter(mask.astype(float), SIGMA) + 1e-6
    mean = np.stack([ndimage.gaussian_filter(normals[..., k] * mask, SIGMA) / weight for k in range(3)], -1)
    mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-9)
    rows = np.flatnonzero(mask.any(1))
    height = np.arange(len(mask))[:, None] - rows[0]
    core = ndimage.binary_erosion(mask, iterations=6) & (height > 0.18 * TALL) & (height < 0.88 * TALL)
    angle = np.degrees(np.arccos(np.clip((normals * mean).sum(-1), -1, 1)))
    return float(angle[core].mean()) if core.any() else float("nan")


def relief(people: list[tuple[ShardSet, int]], most: int = 200) -> dict[str, Any]:
    """Relief of the true front normals of each person's first view, scaled to TALL: median, and that of people in library clothes."""
    import cv2

    found, draped = [], []
    for shards, person in people[:most]:
        view, info = shards.view(person, 0), shards.person(person)
        mask = view.coverage > 230
        rows = np.flatnonzero(mask.any(1))
        if not len(rows) or rows[0] == 0 or rows[-1] == len(mask) - 1:
            continue  # cut by the frame: the height is not known
        scale = TALL / (rows[-1] - rows[0] + 1)
        size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
        normals = cv2.resize(view.normal.astype(np.float32) / 127.5 - 1, size, interpolation=cv2.INTER_LINEAR)
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
        found.append(relief_of(normals, cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0))
        draped.append(info["drape"] is not None)
    values, of_library = np.array(found), np.array(draped, bool)
    return {
        "people": len(values),
        "median_deg": float(np.nanmedian(values)),
        "library_median_deg": float(np.nanmedian(values[of_library])) if of_library.any() else None,
        "others_median_deg": float(np.nanmedian(values[~of_library])) if (~of_library).any() else None,
    }
