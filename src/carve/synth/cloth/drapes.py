"""The library of draped garments: one simulation serves many people.

A member is a body in a pose and what it wears: an outfit of tailor's garments (`tailored`), or one garment of the assets, changed as
`variations` does. Each piece is kept as a pattern and as the way that each vertex went from where skinning alone puts it (canonical pose,
metres), so that the person who wears it may have another face, skin, shoes and hands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from carve.body.model import REGIONS, bone_regions
from carve.geometry.mesh import components, unique_edges
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import skin, unskin
from carve.records import CarveError
from carve.synth.cloth.drape import DrapeError, Params, drape
from carve.synth.cloth.library import write_member
from carve.synth.cloth.tailored import finished_pieces
from carve.synth.people.bodies import FullBody, Traits, sample_traits, shape_body
from carve.synth.people.poses import Pose, pose_path, sample_pose
from carve.synth.records import PARTS
from carve.synth.store.view_codec import unpack_arrays
from carve.synth.wear.garments import Pattern
from carve.synth.wear.layers import Against, Obstacle, push_out
from carve.synth.wear.outfits import varied
from carve.synth.wear.person import SKIN_CLEARANCE, Drape, placed
from carve.synth.wear.wardrobe import Item, Split, Wardrobe

DRAPE_EDGE = 0.0117
"""Longest edge of a garment that is draped, metres on the reference body."""
UNREFINED = 1.0
"""As longest edge: the garment as its author made it, good enough to tell what hangs freely."""
FRAMES = 10
"""Poses between the canonical one and the last that the simulation is given."""
SMALL_PIECE = 0.12
"""Height of a piece below which it is trimming, not cloth, metres."""
RUNAWAY = 0.25
"""No edge may end longer than this, metres: a piece that hangs on a thread has fallen."""
TRIES = 3
"""Bodies and poses that are tried for one drape before it is given up."""


@dataclass(frozen=True)
class StoredDrape:
    """A member of the library."""

    name: str
    split: Split
    pieces: tuple[Drape, ...]
    """From the inside out."""
    traits: Traits
    local: np.ndarray
    """(B, 3, 3) pose, relative to the parent, against the canonical pose."""
    pose_kind: str
    report: dict[str, Any]
    """Shares of stretched edges and of vertices inside, seconds, what was changed on the garment."""

    @property
    def tailored(self) -> bool:
        """It is a whole outfit of tailor's garments."""
        return all(piece.item.pattern.measured for piece in self.pieces)


def loose_garments(wardrobe: Wardrobe) -> list[tuple[str, str]]:
    """(asset, kind) of all pieces that hang freely: skirts, dresses, coats, wide tops and wide trousers."""
    found = []
    for name, asset in sorted(wardrobe.assets.garments.items()):
        if asset.kind == "suit":
            found += [(name, kind) for kind in wardrobe.items(name, UNREFINED)]
        elif asset.kind in ("dress", "coat", "bottom", "top"):
            found.append((name, asset.kind))
    return [entry for entry in found if _is_loose(wardrobe, *entry)]


def _is_loose(wardrobe: Wardrobe, name: str, kind: str) -> bool:
    """A skirt, a coat, or cloth of which a tenth stands off the reference body by more than 2.5 cm."""
    item = wardrobe.items(name, UNREFINED)[kind]
    if item.skirt or kind == "coat":
        return True
    reference = wardrobe.reference_of(item.asset)
    near = MeshQueries(reference.rest[wardrobe.body.base], wardrobe.body.faces).nearest(item.frame.where)
    return float(np.percentile(near.distance, 90)) > 0.025


def held_vertices(item: Item, standoff: np.ndarray) -> np.ndarray:
    """(V,) bool: what is sewn or belted tight and follows the body: waistbands, collars and shoulders, a bodice close to the skin.

    `standoff` (V,) is each vertex's distance from the body at rest, metres.
    """
    frame = item.frame
    height = frame.where[:, 1]
    top = float(height.max())
    if item.kind == "bottom":
        held = height > top - 0.04
    else:
        held = (height > top - 0.11) & (frame.arm < 0.35)
        if item.kind == "dress":
            held |= (standoff < 0.012) & (height > frame.waist)
    # A piece that is sewn to nothing, the skirt of a two-piece dress, hangs on its own upper edge.
    label = components(item.pattern.faces, len(height))
    for piece in range(label.max() + 1):
        mine = label == piece
        if np.ptp(height[mine]) < SMALL_PIECE:
            held[mine] = held[mine].any()  # buttons and loops go with what they are sewn to
        elif not held[mine].any():
            held |= mine & (height > height[mine].max() - 0.03)
    return held


def make_drape(wardrobe: Wardrobe, index: int, split: Split, seed: int, params: Params | None = None) -> StoredDrape:
    """Simulate drape number `index`: garments take turns, body, pose and changes are drawn.

    Raises DrapeError if all of TRIES bodies and poses fail.
    """
    choices = [entry for entry in loose_garments(wardrobe) if entry[0] in wardrobe.names(wardrobe.assets.garments[entry[0]].kind, split)]
    name, kind = choices[index % len(choices)]
    failure: DrapeError | None = None
    for attempt in range(TRIES):
        rng = np.random.default_rng([seed, 0xD5A9E, index, attempt])
        try:
            return _simulate(wardrobe, wardrobe.items(name, DRAPE_EDGE)[kind], index, split, rng, params)
        except DrapeError as error:
            failure = error
    raise DrapeError(f"{name}: {failure}")


def _wearer(wardrobe: Wardrobe, item: Item, rng: np.random.Generator) -> Traits:
    """Somebody who would wear it."""
    while True:
        traits = sample_traits(wardrobe.body, rng)
        sex = item.asset.gender == "unisex" or traits.female == (item.asset.gender == "female")
        if sex and (traits.adult or not item.asset.adult_only):
            return traits


def _cloth(item: Item, rng: np.random.Generator) -> Params:
    """Cloth of a weight and stiffness that suits the garment."""
    heavy = item.kind == "coat"
    return Params(
        density=float(rng.uniform(0.35, 0.5) if heavy else rng.uniform(0.12, 0.3)),
        bend=float((3e-5 if heavy else 6e-6) * np.exp(rng.normal(0, 0.7))),
        rest_bend=float(rng.uniform(0.0, 0.5)),
    )


def _simulate(wardrobe: Wardrobe, item: Item, index: int, split: Split, rng: np.random.Generator, params: Params | None) -> StoredDrape:
    body = wardrobe.body
    traits = _wearer(wardrobe, item, rng)
    shaped = shape_body(body, traits)
    item, changes = varied(item, wardrobe, traits, rng)
    still = item.skirt and item.asset.poses == "standing" and rng.random() < 0.7
    pose = sample_pose(
        body, shaped, () if still else tuple(wardrobe.assets.motions.values()), rng, arms_out=0.16 if item.kind in ("coat", "top") else 0.05
    )
    worn = placed(item.pattern, shaped, pose)
    faces, canonical, bones, weights = item.pattern.faces, worn.layer.canonical, worn.layer.bones, worn.layer.weights
    # The cloth's lengths are those on the body at rest: in the canonical pose skinning has stretched skirts between the legs.
    cloth = push_out(worn.rest, faces, [Against(Obstacle(shaped.rest[body.base], body.faces), SKIN_CLEARANCE)])
    path = pose_path(body, shaped, pose, FRAMES)
    guide = np.stack([skin(canonical, step.transforms, bones, weights) for step in path])
    near = MeshQueries(shaped.rest[body.base], body.faces).nearest(worn.rest)
    result = drape(
        cloth,
        faces,
        guide,
        held_vertices(item, near.distance),
        np.stack([step.posed for step in path]),
        body.faces,
        params or _cloth(item, rng),
    )
    edges = unique_edges(faces)
    if np.linalg.norm(result.vertices[edges[:, 0]] - result.vertices[edges[:, 1]], axis=1).max() > RUNAWAY:
        raise DrapeError("a piece of the garment fell off")
    moved = unskin(result.vertices, path[-1].transforms, bones, weights) - canonical
    report = {"inside": result.inside, "stretched": result.stretched, "seconds": result.seconds, "changes": changes}
    name = f"{index:05d}_{item.name.replace(':', '_')}"
    return StoredDrape(name, split, (Drape(item, moved),), traits, pose.local, pose.kind, report)


def _sparse(name: str, matrix: sparse.csr_matrix) -> dict[str, np.ndarray]:
    return {
        f"{name}_data": matrix.data,
        f"{name}_indices": matrix.indices.astype(np.int32),
        f"{name}_starts": matrix.indptr.astype(np.int32),
        f"{name}_shape": np.array(matrix.shape),
    }


def _dense(name: str, arrays: Mapping[str, np.ndarray]) -> sparse.csr_matrix:
    parts = (arrays[f"{name}_data"], arrays[f"{name}_indices"], arrays[f"{name}_starts"])
    return sparse.csr_matrix(parts, shape=tuple(int(n) for n in arrays[f"{name}_shape"]))


def write_drape(folder: Path, stored: StoredDrape) -> None:
    """Write a member with a garment of the assets as NAME.npz (arrays) and NAME.json."""
    (piece,) = stored.pieces
    pattern = piece.item.pattern
    arrays = {
        "offsets": pattern.offsets,
        "faces": pattern.faces.astype(np.int32),
        "uv": pattern.uv.astype(np.float32),
        "local": stored.local,
        "moved": piece.moved,
        **_sparse("binding", pattern.binding),
        **_sparse("joints", pattern.joints),
    }
    meta = {
        "name": stored.name,
        "split": stored.split,
        "asset": pattern.name,
        "item": piece.item.name,
        "kind": piece.item.kind,
        "skirt": piece.item.skirt,
        "pose": stored.pose_kind,
        "traits": asdict(stored.traits),
        "report": stored.report,
    }
    write_member(folder, stored.name, meta, arrays)


def read_drape(path: Path, wardrobe: Wardrobe) -> StoredDrape:
    """Read NAME.json and its arrays; raises CarveError naming the file if it does not fit the assets or is damaged."""
    try:
        meta = json.loads(path.read_text())
        arrays = unpack_arrays(path.with_suffix(".npz").read_bytes())
        traits = Traits(**{**meta["traits"], "race": tuple(meta["traits"]["race"])})
        if meta.get("tailored"):
            pieces = finished_pieces(wardrobe.body, shape_body(wardrobe.body, traits), meta["pieces"], arrays)
        else:
            pieces = (_assets_piece(meta, arrays, wardrobe),)
        return StoredDrape(meta["name"], meta["split"], pieces, traits, arrays["local"], meta["pose"], meta["report"])
    except (OSError, ValueError, KeyError, TypeError, CarveError) as error:
        raise CarveError(f"{path} is not a usable drape ({error}); delete the library's folder and make it again") from error


def _assets_piece(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray], wardrobe: Wardrobe) -> Drape:
    """The one garment, of the assets, of a stored member."""
    asset = wardrobe.assets.garments[meta["asset"]]
    pattern = Pattern(
        asset.name,
        PARTS.index(meta["kind"]),
        asset.layer,
        asset,
        _dense("binding", arrays),
        arrays["offsets"],
        _dense("joints", arrays),
        arrays["faces"].astype(np.int64),
        arrays["uv"].astype(np.float64),
    )
    return Drape(replace(wardrobe.item(pattern, meta["kind"], meta["item"]), skirt=bool(meta["skirt"])), arrays["moved"])


def draped_pose(body: FullBody, stored: StoredDrape, other: Pose) -> np.ndarray:
    """(B, 3, 3) the drape's pose with the hands, the head and the face's bones of another one."""
    free = np.isin(
        bone_regions(body.names, body.parents, body.humanoid), [i for i, n in enumerate(REGIONS) if n == "head" or n.endswith("hand")]
    )
    return np.where(free[:, None, None], other.local, stored.local)


def report_line(stored: StoredDrape) -> str:
    """One line for the log."""
    r = stored.report
    return f"{stored.name}: {r['seconds']:.0f} s, stretched {r['stretched']:.2%}, inside {r['inside']:.2%}, {stored.pose_kind}"
