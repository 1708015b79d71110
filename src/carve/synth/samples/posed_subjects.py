"""What the hypernetwork learns from: people's coarse surfaces in their poses, and points with the signed distance of the true ones.

The coarse surface is the true one seen through means of neighbouring points: what the earlier stages give is smooth and lies at the fitted
body's depth, and a fit in the photo's pose takes it from there. Nothing that a camera sees is needed; a person is drawn turned, tilted,
mirrored, and a little larger or smaller than the frame says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from carve.geometry.mesh import components, face_normals, vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.rotations import matrix_from_rotvec
from carve.networks.hyper import Describer
from carve.networks.posed_field import Frame
from carve.records import CarveError
from carve.synth.people.bodies import load_full_body
from carve.synth.samples.fitted_body import ARRAYS, FittedBodies
from carve.synth.store.shard_reader import open_shards
from carve.synth.store.shards import Split

_SAMPLES = ("posed_surface", "posed_normal", "posed_points", "posed_distance")
ROOT = 0
"""Index of the skeleton's root bone."""

BLUR = 20
"""Most points that a coarse surface is the mean of."""


@dataclass(frozen=True)
class Subject:
    """One person, metres, posed body frame."""

    surface: np.ndarray
    """(N, 3) points on the true surface."""
    normal: np.ndarray
    """(N, 3)"""
    points: np.ndarray
    """(M, 3) others."""
    distance: np.ndarray
    """(M,) their signed distances."""
    frame: Frame
    describer: Describer


class PosedSubjects(Dataset[dict[str, Tensor]]):
    """The people of one split.

    Item i of an epoch depends on the seed, the epoch and i only. A dict of tensors, in the person's frame: `seen` (K, 6) of
    `carve.networks.hyper.Describer`; `on`, `normal` (N, 3); `off` (M, 3), `distance` (M,); `unit` () metres.
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        places: int,
        counts: tuple[int, int],
        *,
        augmented: bool = True,
        seed: int = 0,
        verify: bool = True,
    ) -> None:
        """Read all people.

        Args:
            folder: of the shards, with dataset.json.
            split: which people.
            places: K.
            counts: N and M.
            augmented: turn, tilt, mirror, scale and blur.
            seed: of everything that is drawn.
            verify: compare the shards with their checksums first.

        Raises:
            CarveError: the shards are missing or damaged, or were made without distances.
        """
        self.shards = open_shards(folder, split, verify)
        self.places, self.counts, self.augmented, self.seed = places, counts, augmented, seed
        self._subjects = [self._read(p, folder) for p in range(len(self.shards.people()))]

    def _read(self, p: int, folder: Path) -> Subject:
        try:
            arrays = self.shards.arrays(p, (*_SAMPLES, "transforms"))
        except KeyError as error:
            raise CarveError(f"{folder} was made with --no-distances; the hypernetwork needs a data set with them.") from error
        surface, normal, points, distance = (arrays[name] for name in _SAMPLES)
        frame = Frame.around(surface, arrays["transforms"][ROOT, :, 2])
        return Subject(surface, normal, points, distance, frame, Describer(surface, normal, BLUR))

    def __len__(self) -> int:
        return len(self._subjects)

    def frame(self, i: int) -> Frame:
        """The own frame of person i."""
        return self._subjects[i].frame

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        """Item i of epoch 0."""
        return self.draw(i, 0)

    def draw(self, i: int, epoch: int) -> dict[str, Tensor]:
        """Item i of an epoch. Raises IndexError if there is none."""
        subject = self._subjects[i]
        rng = np.random.default_rng((self.seed, epoch, i))
        frame = _changed(subject.frame, rng) if self.augmented else subject.frame
        on = rng.integers(len(subject.surface), size=self.counts[0])
        # Stored are two near points for each of the box's, where there is less to say.
        near, everywhere = len(subject.points) * 2 // 3, self.counts[1] // 4
        off = np.concatenate(
            [rng.integers(near, size=self.counts[1] - everywhere), rng.integers(near, len(subject.points), size=everywhere)]
        )
        off = rng.permutation(off)
        item = {
            "seen": subject.describer(frame, self.places, int(rng.integers(2, BLUR + 1)) if self.augmented else 8),
            "on": frame.into(subject.surface[on]),
            "normal": frame.turned(subject.normal[on]),
            "off": frame.into(subject.points[off]),
            "distance": (subject.distance[off] / frame.unit).astype(np.float32),
            "unit": np.array(frame.unit, np.float32),
        }
        return {name: torch.from_numpy(values) for name, values in item.items()}


def _changed(frame: Frame, rng: np.random.Generator) -> Frame:
    """Another frame that a fit might have."""
    yaw, tilt, roll = rng.normal(0, [0.2, 0.12, 0.06])
    turn = matrix_from_rotvec(torch.tensor([[tilt, 0.0, roll], [0.0, yaw, 0.0]], dtype=torch.float64)).numpy()
    mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0, 1.0])
    unit = frame.unit * float(rng.uniform(0.97, 1.04))
    return replace(frame, centre=frame.centre + 0.01 * rng.normal(size=3), unit=unit, turn=mirror @ turn[0] @ turn[1] @ frame.turn)


def mean_body(people: PosedSubjects, count: int = 9000, seed: int = 0) -> dict[str, Tensor]:
    """Samples of the mean of all people's naked bodies, posed, each in its own frame: `on`, `normal`, `off`, `distance` as of items."""
    body = load_full_body()
    bodies = FittedBodies(body)
    total = np.zeros((len(body.base), 3))
    for p in range(len(people)):
        vertices = bodies.posed(bodies.true(people.shards.arrays(p, ARRAYS), np.eye(3), np.zeros(3)))
        total += people.frame(p).into(vertices)
    vertices = total / len(people)
    label = components(body.faces, len(vertices))
    faces = body.faces[label[body.faces[:, 0]] == np.bincount(label).argmax()]
    rng = np.random.default_rng(seed)
    area = np.linalg.norm(face_normals(vertices, faces), axis=1)
    corners, share = faces[rng.choice(len(faces), count, p=area / area.sum())], rng.dirichlet(np.ones(3), count)
    on, normal = (np.einsum("nk,nkd->nd", share, values[corners]) for values in (vertices, vertex_normals(vertices, faces)))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    off = np.concatenate([on + rng.normal(0, 0.04, on.shape), rng.uniform(-1.1, 1.1, (count // 2, 3))])
    distance = MeshQueries(vertices, faces, winding=True).signed_distance(off)
    order = rng.permutation(len(off))
    item = {"on": on, "normal": normal, "off": off[order], "distance": distance[order]}
    return {name: torch.from_numpy(values.astype(np.float32)) for name, values in item.items()}
