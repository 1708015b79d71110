"""Putting a person together: a body in a pose, dressed from the inside out, canonical and posed in exact correspondence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from carve.geometry.mesh import vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.skin_weights import stored_weights
from carve.geometry.skinning import skin, unskin
from carve.synth.people.bodies import SKIN_VERTICES, FullBody, ShapedBody
from carve.synth.people.poses import Pose
from carve.synth.records import PARTS, Layer
from carve.synth.wear.folds.params import CLOTH, sample_params
from carve.synth.wear.garments import Pattern, canonical_of, fit, made_asset, strongest_bones
from carve.synth.wear.layers import REACH, Against, Obstacle, hide, push_out
from carve.synth.wear.outfits import Outfit
from carve.synth.wear.wardrobe import Item
from carve.synth.wear.wrinkles import wrinkles

SKIN_CLEARANCE = 0.002
"""How far cloth stays off the skin, metres; each garment between adds LAYER_CLEARANCE."""
LAYER_CLEARANCE = 0.002


@dataclass(frozen=True)
class Worn:
    """A layer and where it lies on the body at rest."""

    layer: Layer
    rest: np.ndarray
    """(V, 3)"""
    pattern: Pattern | None
    """None for the skin."""


@dataclass(frozen=True)
class Dressed:
    """A person with everything on."""

    shaped: ShapedBody
    pose: Pose
    worn: tuple[Worn, ...]
    """Skin first, then from the inside out, then eyes, hair and what sits on the head."""
    inside_canonical: float
    """Share of the garments' vertices inside the naked body, canonical pose."""
    inside_posed: float

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(item.layer for item in self.worn)


@dataclass(frozen=True)
class Drape:
    """What a simulation did to one garment: how each vertex moved from where skinning alone puts it, in the canonical pose."""

    item: Item
    moved: np.ndarray
    """(V, 3) metres, canonical pose."""


def skin_layer(body: FullBody, shaped: ShapedBody, pose: Pose) -> Worn:
    """The bare body without its eyes, which are an asset of their own."""
    return Worn(bare_layer(body, shaped.canonical, pose), shaped.rest[body.base], None)


def bare_layer(body: FullBody, canonical: np.ndarray, pose: Pose) -> Layer:
    """The same of canonical vertices (V, 3) of whatever shape."""
    eye = body.base >= SKIN_VERTICES
    kept = ~eye[body.faces].all(1)
    bones, weights = stored_weights(body.bones[body.base], body.weights[body.base])
    bones, weights = bones.astype(np.int64), weights.astype(np.float64)
    posed = skin(canonical, pose.transforms, bones, weights)
    return Layer(
        "skin",
        PARTS.index("skin"),
        canonical,
        posed,
        body.faces[kept],
        np.ones(int(kept.sum()), bool),
        body.uv[kept],
        bones,
        weights,
        closed=True,
    )


def own_eyes(body: FullBody) -> Pattern:
    """The body's own eyes as a pattern, for where no asset gives better ones; texture coordinates look along the axis."""
    eye = np.flatnonzero((body.base >= SKIN_VERTICES)[body.faces].all(1))
    used, local = np.unique(body.faces[eye], return_inverse=True)
    faces, base = local.reshape(-1, 3), body.base[used]
    place = body.template.numpy()[base].astype(float)
    middle = np.where(place[:, :1] > 0, place[place[:, 0] > 0].mean(0), place[place[:, 0] < 0].mean(0))
    radius = float(np.linalg.norm(place - middle, axis=1).max())
    flat = 0.5 + 0.5 * (place - middle)[:, :2] / radius * np.array([1.0, -1.0])
    rows = np.arange(len(base))
    binding = sparse.csr_matrix((np.ones(len(base)), (rows, base)), shape=(len(base), body.template.shape[0]))
    joints = sparse.coo_matrix(
        (body.weights[base].ravel(), (np.repeat(rows, body.bones.shape[1]), body.bones[base].ravel())), shape=(len(base), len(body.names))
    ).tocsr()
    asset = made_asset("own-eyes", "eyes", 0)
    return Pattern("own-eyes", PARTS.index("eyes"), 0, asset, binding, np.zeros((len(base), 3)), joints, faces, flat[faces], closed=True)


def placed(pattern: Pattern, shaped: ShapedBody, pose: Pose) -> Worn:
    """A pattern skinned with the body, nothing else."""
    rest = fit(pattern, shaped)
    bones, weights = strongest_bones(pattern)
    canonical = canonical_of(pattern, shaped, rest)
    posed = skin(canonical, pose.transforms, bones, weights)
    shown = np.ones(len(pattern.faces), bool)
    return Worn(
        Layer(pattern.name, pattern.part, canonical, posed, pattern.faces, shown, pattern.uv, bones, weights, pattern.closed), rest, pattern
    )


def moved(layer: Layer, posed: np.ndarray, transforms: np.ndarray) -> Layer:
    """The layer with posed vertices (V, 3); its canonical ones follow by inverse skinning, and the stored posed ones by skinning those."""
    canonical = unskin(posed, transforms, layer.bones, layer.weights)
    return replace(layer, canonical=canonical, posed=skin(canonical, transforms, layer.bones, layer.weights))


class _Stack:
    """The obstacles that the next garment must stay outside of, in both spaces."""

    def __init__(self, naked: Layer) -> None:
        self._spaces: dict[str, list[Against]] = {
            "canonical": [Against(Obstacle(naked.canonical, naked.faces), SKIN_CLEARANCE)],
            "posed": [Against(Obstacle(naked.posed, naked.faces), SKIN_CLEARANCE)],
        }
        self.count = 0

    def against(self, space: str) -> list[Against]:
        first, *others = self._spaces[space]
        return [replace(first, clearance=SKIN_CLEARANCE + self.count * LAYER_CLEARANCE), *others]

    def add(self, layer: Layer) -> None:
        self._spaces["canonical"].append(Against(Obstacle(layer.canonical, layer.faces), LAYER_CLEARANCE))
        self._spaces["posed"].append(Against(Obstacle(layer.posed, layer.faces), LAYER_CLEARANCE))
        self.count += 1


def put_on(
    body: FullBody, item: Item, shaped: ShapedBody, pose: Pose, stack: _Stack, drape: Drape | None, rng: np.random.Generator
) -> Worn:
    """One garment over all that is on already: outside of it in the canonical pose, skinned, folded, and outside of it again in the pose.

    A draped garment has its folds from the simulation.
    """
    worn = placed(item.pattern, shaped, pose)
    layer = worn.layer
    canonical = layer.canonical if drape is None else layer.canonical + drape.moved
    if drape is None:
        canonical = push_out(canonical, layer.faces, stack.against("canonical"))
    posed = skin(canonical, pose.transforms, layer.bones, layer.weights)
    if drape is None and PARTS[layer.part] in CLOTH:
        posed = posed + _folds(body, worn, posed, shaped, pose, stack, rng)
    posed = push_out(posed, layer.faces, stack.against("posed"))
    # Out of the body in one pose may be into it in the other: both are looked at in turn, the photograph's last.
    layer = moved(layer, posed, pose.transforms)
    canonical = push_out(layer.canonical, layer.faces, stack.against("canonical"), rounds=3)
    posed = skin(canonical, pose.transforms, layer.bones, layer.weights)
    posed = push_out(posed, layer.faces, stack.against("posed"), rounds=2)
    return replace(worn, layer=moved(layer, posed, pose.transforms))


def _folds(
    body: FullBody, worn: Worn, posed: np.ndarray, shaped: ShapedBody, pose: Pose, stack: _Stack, rng: np.random.Generator
) -> np.ndarray:
    """(V, 3) what wrinkles add to posed vertices (V, 3); the cloth's rest shape is the one on the body at rest."""
    layer = worn.layer
    height, _ = stack.against("posed")[0].obstacle.heights(posed, REACH)
    free = np.where(np.isfinite(height), np.clip(height - SKIN_CLEARANCE, 0.0, None), REACH)
    tightness = float(np.clip(1.0 - np.median(free) / 0.03, 0.0, 1.0))
    params = sample_params(rng, PARTS[layer.part], tightness)
    index = {vrm: body.names.index(bone) for vrm, bone in body.humanoid.items()}
    lifted = wrinkles(
        worn.rest,
        posed,
        layer.faces,
        layer.bones,
        layer.weights,
        shaped.rest_heads,
        pose.heads,
        body.parents,
        index,
        free,
        params,
        rng,
    )
    return lifted[:, None] * vertex_normals(posed, layer.faces)


def inside_share(layers: Sequence[Layer], space: Literal["canonical", "posed"], naked: Layer) -> float:
    """Share of the layers' vertices, asked of every fourth, inside the naked body, by winding number."""
    points = np.concatenate([getattr(layer, space)[::4] for layer in layers]) if layers else np.zeros((0, 3))
    if not len(points):
        return 0.0
    return float(MeshQueries(getattr(naked, space), naked.faces, winding=True).inside(points).mean())


def dress(
    body: FullBody,
    shaped: ShapedBody,
    pose: Pose,
    outfit: Outfit,
    eyes: Pattern | None,
    hair: Pattern | None,
    beard: Pattern | None,
    drapes: Sequence[Drape],
    rng: np.random.Generator,
) -> Dressed:
    """Dress a posed body. `drapes` are the simulated pieces of the outfit."""
    naked = skin_layer(body, shaped, pose)
    stack = _Stack(naked.layer)
    clothes: list[Worn] = []
    for item in outfit.pieces:
        simulated = next((drape for drape in drapes if drape.item is item), None)
        worn = put_on(body, item, shaped, pose, stack, simulated, rng)
        stack.add(worn.layer)
        clothes.append(worn)
    head = [placed(pattern, shaped, pose) for pattern in (eyes, beard) if pattern is not None]
    if hair is not None:
        head.append(_hang_hair(placed(hair, shaped, pose), shaped, pose, stack))
    head += [placed(item.pattern, shaped, pose) for item in (outfit.hat, outfit.glasses) if item is not None]
    hidden = [replace(naked, layer=hide(naked.layer, [above.layer for above in clothes], pose.transforms))]
    for k, worn in enumerate(clothes, start=1):
        if k < len(clothes):
            height, _ = stack.against("canonical")[0].obstacle.heights(worn.layer.canonical, REACH)
            room = np.clip(0.7 * (height - SKIN_CLEARANCE), 0.0, None)
            worn = replace(worn, layer=hide(worn.layer, [above.layer for above in clothes[k:]], pose.transforms, room))
        hidden.append(worn)
    worn_layers = [worn.layer for worn in hidden[1:]]
    return Dressed(
        shaped,
        pose,
        (*hidden, *head),
        inside_share(worn_layers, "canonical", naked.layer),
        inside_share(worn_layers, "posed", naked.layer),
    )


def _hang_hair(worn: Worn, shaped: ShapedBody, pose: Pose, stack: _Stack) -> Worn:
    """Hair that reaches the shoulders lies on them and on the clothes; what is above the chin stays."""
    layer = worn.layer
    chin = shaped.heads[:, 1].max() - 0.13 * shaped.stature
    fixed = layer.canonical[:, 1] > chin
    if fixed.all():
        return worn
    posed = push_out(layer.posed, layer.faces, stack.against("posed"), fixed=fixed)
    return replace(worn, layer=moved(layer, posed, pose.transforms))
