"""The geometry that a data set keeps of a person, see docs/synthetic_people.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from carve.synth.outer.surface import outer_surface, sample_signed, sewn
from carve.synth.people.poses import Pose
from carve.synth.records import Layer


def stored_arrays(
    layers: Sequence[Layer],
    pose: Pose,
    canonical: np.ndarray,
    heads: np.ndarray,
    seen: Sequence[np.ndarray],
    samples: tuple[int, int, int] | None,
    rng: np.random.Generator,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays of a person, and what is to be said of the outer surface.

    Args:
        layers: from the inside out.
        pose: of the body.
        canonical: (V, 3) the body.
        heads: (B, 3) of its bones, canonical.
        seen: which vertices of all layers each view sees.
        samples: points on the outer surface, near it and in its box; None leaves the surface and its distances out.
        rng: of these points.

    Raises:
        CarveError: no layer is a solid.
    """
    starts = np.cumsum([0, *(len(layer.canonical) for layer in layers)])
    arrays: dict[str, np.ndarray] = {
        "canonical": np.concatenate([layer.canonical for layer in layers]).astype(np.float32),
        "posed": np.concatenate([layer.posed for layer in layers]).astype(np.float32),
        "bones": np.concatenate([layer.bones for layer in layers]).astype(np.uint8),
        "weights": np.concatenate([layer.weights for layer in layers]).astype(np.float32),
        "faces": np.concatenate([layer.faces + start for layer, start in zip(layers, starts[:-1], strict=True)]).astype(np.int32),
        "shown": np.concatenate([layer.shown for layer in layers]),
        "face_layer": np.concatenate([np.full(len(layer.faces), k, np.uint8) for k, layer in enumerate(layers)]),
        "vertex_starts": starts.astype(np.int32),
        "transforms": pose.transforms,
        "local_rotations": pose.local,
        "heads_canonical": heads,
        "heads_posed": pose.heads,
        "body_canonical": canonical.astype(np.float32),
        "visible": np.packbits(np.stack(seen), axis=1) if len(seen) else np.zeros((0, 0), np.uint8),
    }
    notes: dict[str, Any] = {}
    spaces: tuple[Literal["canonical", "posed"], ...] = ("canonical", "posed")
    seams = sewn(layers) if samples is not None else []
    for space in spaces if samples is not None else ():
        assert samples is not None
        surface = outer_surface(layers, space, seams)
        drawn = sample_signed(surface, samples, rng)
        arrays |= {f"{space}_{name}": getattr(drawn, name) for name in ("surface", "normal", "points", "distance")}
        if space == "canonical":
            arrays |= {"outer_vertices": surface.vertices.astype(np.float32), "outer_faces": surface.faces.astype(np.int32)}
            arrays["outer_layer"] = surface.layer.astype(np.uint8)
        notes[space] = {"exact": surface.exact, "notes": list(surface.notes)}
    return arrays, notes
