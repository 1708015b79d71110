"""What the implicit model learns from: a view's maps, a body as fitted, and points with the signed distance of the clothed surface.

The truth is known in the canonical space of the true body. A fit gives another body, and inference asks in that one's canonical space:
each point goes through the true pose into the camera frame and back through the fitted pose, so that the fitted body skins a surface point
to where the photo shows it. Where limbs touch, the point keeps the limb it belongs to. How deep a limb lies the photo hardly shows; a
network that had to guess it would learn the mean of many places, in which a thin arm vanishes. So limbs of the true pose are first moved
along the viewing rays to the depth that the fit gives them.

Notation: w(x) skinning weights of a point in the fitted body's field, T_w true (at the fitted depth) and T'_w fitted blended bone maps, A
and A' their linear parts,
    x' = T'_w^-1 T_w x,   n' ~ A'^T A^-T n;
both canonical bodies have the same joints and differ in girth alone, so x is looked up in the fitted one. Then w(x) is replaced by w(x'),
which inference has: a fixed point that is reached in a round or two. A mirrored picture is that of a mirrored person: canonical space is
mirrored with it by M = diag(-1, 1, 1), T' becomes T' M.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from carve.body.model import REGIONS
from carve.body.skin_field import BodyPoints, SkinField
from carve.networks.encoder import BACK, BODY_BACK, BODY_FRONT, FRONT, MASK, SIZE, PersonMaps, person_maps
from carve.networks.implicit import JOINTS, Architecture
from carve.networks.normals import NormalsNet, load_normals_net
from carve.networks.precision import autocast
from carve.records import CarveError
from carve.synth.people.bodies import load_full_body
from carve.synth.photo.augmentation import Field, Motion, Truth, augment, draw_motion, other_side, stored_members
from carve.synth.photo.photograph import photograph, view_fields
from carve.synth.photo.rough_mask import rough_mask
from carve.synth.photo.scenery import load_scenery
from carve.synth.samples.fitted_body import ARRAYS, FittedBodies, FittedBody
from carve.synth.store.shard_reader import open_shards
from carve.synth.store.shards import Split

FIELDS: tuple[Field, ...] = ("normal_front", "normal_back")
ROUNDS = 2
"""Of the search for the point that the fitted body carries to the true place."""
_OTHER_REGION = np.array([REGIONS.index(other_side(name)) for name in REGIONS])
_OTHER_JOINT = np.array([JOINTS.index(other_side(name)) for name in JOINTS])


@dataclass(frozen=True)
class Mixture:
    """How much of what is drawn is true. Shares of the samples."""

    true_body: float = 0.15
    """That are given the true body; the others get one with fit errors."""
    predicted: float = 0.5
    """Whose normals are predicted by the network that ships, from a photograph, a rough mask and the body; the others have true ones."""


@dataclass(frozen=True)
class Carried:
    """Points in the fitted body's space, with what that body says of them."""

    position: np.ndarray
    """(N, 3)"""
    transform: np.ndarray
    """(N, 3, 4) to the camera frame of the view."""
    near: BodyPoints
    normal: np.ndarray
    """(N, 3) unit normals that came with the points."""


class SurfacePoints(Dataset[dict[str, Tensor]]):
    """The (person, view) pairs of one split with maps and points.

    Item i of an epoch depends on the seed, the epoch and i only. A dict of tensors, S = SIZE, N points on the surface before M others:

    | key | shape | what |
    |---|---|---|
    | maps | (CHANNELS, S, S) | see `carve.networks.encoder` |
    | camera, reference, joints | (3,), (), (J, 3) | see `carve.networks.implicit.Seen` |
    | position, transform, distance, gradient, normal, region | (N + M, ...) | see `carve.networks.implicit.Points` |
    | surface_normal | (N, 3) | true unit normals of the clothed surface |
    | target | (N + M,) | true signed distance of the clothed surface, metres; zero for the first N |
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        assets: Path,
        architecture: Architecture,
        *,
        mixture: Mixture | None = None,
        counts: tuple[int, int] = (512, 1024),
        augmented: bool = True,
        seed: int = 0,
        verify: bool = True,
    ) -> None:
        """Open a data set.

        Args:
            folder: of the shards, with dataset.json.
            split: which people.
            assets: the asset pack, for the light and backgrounds of photographs.
            architecture: whose space and image are drawn.
            mixture: of true and fitted bodies, true and predicted normals.
            counts: N and M.
            augmented: frame anew, mirror, and blur true normals a little.
            seed: of everything that is drawn.
            verify: compare the shards with their checksums first.

        Raises:
            CarveError: the shards or the assets are missing or damaged, or the shards were made without distances.
        """
        cv2.setNumThreads(1)  # its threads do not survive a fork
        self.shards = open_shards(folder, split, verify, "whole")
        self.mixture, self.counts, self.augmented, self.seed = mixture or Mixture(), counts, augmented, seed
        self.posed = architecture.space == "posed"
        self._scenery = load_scenery(assets)
        self._samples = tuple(f"{architecture.space}_{name}" for name in ("surface", "normal", "points", "distance"))
        if len(self.shards):
            try:
                self.shards.arrays(0, self._samples)
            except KeyError as error:
                raise CarveError(f"{folder} was made with --no-distances; the implicit model needs a data set with them.") from error
        self._photo = architecture.image != "normals"
        body = load_full_body()
        self._bodies = FittedBodies(body)
        self._region, self._faces = body.region, body.faces
        self._field = SkinField(
            body.template[body.base].double().numpy(), body.faces, body.bones[body.base], body.weights[body.base], body.region
        )
        self._joints = np.array([body.names.index(body.humanoid[name]) for name in JOINTS])
        self._normals: NormalsNet | None = None

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        """Item i of epoch 0."""
        return self.draw(i, 0)

    def draw(self, i: int, epoch: int) -> dict[str, Tensor]:
        """Item i of an epoch.

        Raises:
            IndexError: i is not in 0 to len - 1.
            CarveError: a shard is damaged.
        """
        p, v = self.shards.pair(i)
        rng = np.random.default_rng((self.seed, epoch, i))
        info = self.shards.person(p)
        arrays = self.shards.arrays(p, (*ARRAYS, *self._samples))
        rotation, translation = (np.array(info["cameras"][v][name]) for name in ("rotation", "translation"))
        true = self._bodies.true(arrays, rotation, translation)
        fitted = true if rng.random() < self.mixture.true_body else self._bodies.fit(arrays, rotation, translation, rng)
        maps, motion = self._maps(p, v, tuple(info["landmarks"]), fitted, rng)
        surface, points = _choose(arrays, self._samples, self.counts, rng)
        position, normal = np.concatenate([surface[0], points[0]]), np.pad(surface[1], ((0, len(points[0])), (0, 0)))
        if self.posed:
            carried = self._beside_posed(true, fitted, position @ rotation.T + translation, normal @ rotation.T)
        else:
            carried = self._carry(true, fitted, position, normal)
        heads = fitted.heads[self._joints]
        if self.posed:
            heads = np.einsum("jab,jb->ja", fitted.transforms[self._joints, :, :3], heads) + fitted.transforms[self._joints, :, 3]
        return _tensors(maps, motion, carried, heads, len(surface[0]), points[1], self.posed)

    def _maps(self, p: int, v: int, names: tuple[str, ...], fitted: FittedBody, rng: np.random.Generator) -> tuple[PersonMaps, Motion]:
        """The maps of a view with a body, and how the picture was moved."""
        predicted = bool(rng.random() < self.mixture.predicted)
        colour = None
        if predicted or self._photo:
            view = self.shards.view(p, v, view_fields(FIELDS))
            drawn = photograph(view, names, self._scenery, rng, SIZE, FIELDS, self.augmented)
            truth, motion, visible, colour = drawn.truth, drawn.motion, drawn.visible, drawn.image
        else:
            view = self.shards.view(p, v, ("coverage", *stored_members(FIELDS)))
            motion = draw_motion(view, rng) if self.augmented else Motion()
            truth = augment(view, names, motion, SIZE, FIELDS)
            visible = truth.mask
        rough = predicted or (self.augmented and rng.random() < 0.5)
        mask = rough_mask(visible, rng) if rough else visible.astype(np.float32)
        vertices = self._bodies.posed(fitted) @ motion.turn.T
        faces = self._faces[:, ::-1] if motion.flip else self._faces
        seen = mask > 0.5
        front, back = (np.where(seen, n, 0) for n in _true_normals(truth, self.augmented and not predicted, rng))
        maps = person_maps(front.transpose(1, 2, 0), back.transpose(1, 2, 0), mask, vertices, faces, truth.camera, colour)
        if predicted:
            assert colour is not None
            self._predict(maps, colour)
        return maps, motion

    def _predict(self, maps: PersonMaps, colour: np.ndarray) -> None:
        """Replace the clothed normals of the maps by those that the normals network sees in the photograph (S, S, 3)."""
        if self._normals is None:
            self._normals = load_normals_net()
        image = torch.from_numpy(colour.transpose(2, 0, 1).astype(np.float32) / 255)[None]
        channels = torch.from_numpy(maps.channels)[None]
        with torch.inference_mode(), autocast("cpu"):
            body = (functional.avg_pool2d(channels[:, part], 2) for part in (BODY_FRONT, BODY_BACK))
            out = self._normals(image, channels[:, MASK : MASK + 1], *body)
        seen = maps.channels[MASK] > 0.5
        maps.channels[FRONT], maps.channels[BACK] = out.front[0].numpy() * seen, out.back[0].numpy() * seen

    def _carry(self, true: FittedBody, fitted: FittedBody, position: np.ndarray, normal: np.ndarray) -> Carried:
        """Points (N, 3) with normals (N, 3) of true canonical space in that of the fitted body; see the module's head."""
        field = self._field.reshaped(fitted.canonical)
        near = field.near(position)
        if fitted is true:
            return Carried(position, field.blend(position, near, true.transforms).astype(float), near, normal)
        there = field.blend(position, near, self._bodies.true_at_depth_of(true, fitted)).astype(float)
        posed = _apply(there, position)
        posed_normal = np.linalg.solve(there[:, :, :3].swapaxes(1, 2), normal[..., None])
        back = field.blend(position, near, fitted.transforms).astype(float)
        for _ in range(ROUNDS):
            position = np.linalg.solve(back[:, :, :3], (posed - back[:, :, 3])[..., None])[..., 0]
            near = field.near(position)
            back = field.blend(position, near, fitted.transforms).astype(float)
        carried = (back[:, :, :3].swapaxes(1, 2) @ posed_normal)[..., 0]
        return Carried(position, back, near, carried / np.maximum(np.linalg.norm(carried, axis=1, keepdims=True), 1e-9))

    def _beside_posed(self, true: FittedBody, fitted: FittedBody, position: np.ndarray, normal: np.ndarray) -> Carried:
        """Points (N, 3) of the camera frame beside the fitted posed body, moved to its depth."""
        if fitted is not true:
            field = self._field.reshaped(self._bodies.posed(true))
            near = field.near(position)
            there = field.blend(position, near, true.transforms).astype(float)
            deep = field.blend(position, near, self._bodies.true_at_depth_of(true, fitted)).astype(float)
            canonical = np.linalg.solve(there[:, :, :3], (position - there[:, :, 3])[..., None])[..., 0]
            position = _apply(deep, canonical)
            normal = np.linalg.solve(deep[:, :, :3].swapaxes(1, 2), there[:, :, :3].swapaxes(1, 2) @ normal[..., None])[..., 0]
            normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        near = self._field.reshaped(self._bodies.posed(fitted)).near(position)
        return Carried(position, np.tile(np.eye(3, 4), (len(position), 1, 1)), near, normal)


def _apply(transforms: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 3) each point (N, 3) through its own map (N, 3, 4)."""
    return np.einsum("nab,nb->na", transforms[:, :, :3], points) + transforms[:, :, 3]


def _choose(
    arrays: dict[str, np.ndarray], names: tuple[str, ...], counts: tuple[int, int], rng: np.random.Generator
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Surface points with normals, and others with distances; those near the surface come first, one in three is from the whole box."""
    surface, normal, points, distance = (arrays[name].astype(float) for name in names)
    on = rng.integers(len(surface), size=counts[0])
    # Stored are two near points for each of the box's.
    near, everywhere = len(points) * 2 // 3, counts[1] // 3
    off = np.concatenate([rng.integers(near, size=counts[1] - everywhere), rng.integers(near, len(points), size=everywhere)])
    return (surface[on], normal[on]), (points[off], distance[off])


def _true_normals(truth: Truth, blurred: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Front and back normals (3, S, S), as they are or softened and disturbed a little."""
    front, back = truth.normals["normal_front"], truth.normals["normal_back"]
    if not blurred:
        return front, back
    sigma, noise = rng.uniform(0.01, 1.2), rng.uniform(0, 0.15)

    def soften(normals: np.ndarray) -> np.ndarray:
        grid = int(rng.integers(8, 64))
        wave = cv2.resize(rng.normal(0, noise, (grid, grid, 3)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        image = cv2.GaussianBlur(np.ascontiguousarray(normals.transpose(1, 2, 0)), (0, 0), sigma)
        there = (normals != 0).any(0)[..., None]
        image = np.where(there, image + wave, 0)
        unit: np.ndarray = image / np.maximum(np.linalg.norm(image, axis=-1, keepdims=True), 1e-6)
        return unit.transpose(2, 0, 1)

    return soften(front), soften(back)


def _tensors(
    maps: PersonMaps, motion: Motion, carried: Carried, joints: np.ndarray, count: int, distance: np.ndarray, posed: bool
) -> dict[str, Tensor]:
    """The item, after the picture's motion."""
    turn, near = motion.turn, carried.near
    mirror = np.diag([-1.0 if motion.flip else 1.0, 1.0, 1.0])
    space = turn if posed else mirror
    transform = carried.transform
    if not posed:
        transform = turn @ transform
        transform[..., :3] = transform[..., :3] @ mirror
    camera = maps.camera
    region = near.region.astype(np.int64)
    real = {
        "maps": maps.channels,
        "camera": np.array([camera.focal, camera.cx, camera.cy]),
        "reference": np.array(maps.reference),
        "joints": (joints[_OTHER_JOINT] if motion.flip else joints) @ space.T,
        "position": carried.position @ space.T,
        "transform": transform,
        "distance": near.distance,
        "gradient": near.gradient @ space.T,
        "normal": near.normal @ space.T,
        "surface_normal": carried.normal[:count] @ space.T,
        "target": np.concatenate([np.zeros(count), distance]),
    }
    item = {name: torch.from_numpy(np.array(values, np.float32, order="C")) for name, values in real.items()}
    return item | {"region": torch.from_numpy(_OTHER_REGION[region] if motion.flip else region)}
