"""Synthetic photographs for torch: each item is drawn anew from a stored view in every epoch, and the same for equal seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from carve.geometry.camera import Camera
from carve.geometry.relief.normal_maps import front_and_back
from carve.records import CarveError
from carve.synth.people.bodies import load_full_body
from carve.synth.photo.augmentation import WINDOWS, Field
from carve.synth.photo.photograph import Photograph, photograph, view_fields
from carve.synth.photo.rough_mask import rough_mask
from carve.synth.photo.scenery import load_scenery
from carve.synth.samples.fitted_body import ARRAYS, FittedBodies
from carve.synth.store.shard_reader import Framing, open_shards
from carve.synth.store.shards import Split

DEFAULT_FIELDS: tuple[Field, ...] = (
    "normal_front", "normal_back", "body_normal_front", "body_normal_back", "depth", "label_front", "label_back", "place",
)  # fmt: skip
"""What an item holds besides picture and masks, if nothing else is asked for."""


class SyntheticPhotos(Dataset[dict[str, Any]]):
    """The (person, view) pairs of one split as photographs with their truth.

    Item i of an epoch depends on the seed, the epoch and i only, not on the number of workers or the order of reading. A dict, S = size:

    | key | shape | what |
    |---|---|---|
    | image | (3, S, S) float32 | sRGB, 0..1 |
    | mask, visible | (1, S, S) float32 | 1 where the person is; the same without what stands in front of them |
    | weight | (1, S, S) float32 | share of the pixel that the person covers, zero outside the mask |
    | normal_front, ..., body_normal_back | (3, S, S) float32 | unit vectors of the sample's camera frame, zero where there is none |
    | body_mask | (1, S, S) float32 | 1 where body_normal_front is known (if it is asked for) |
    | depth | (1, S, S) float32 | metres along the viewing axis, zero outside the mask |
    | label_front, label_back | (1, S, S) uint8 | index into `carve.records.LABELS`; 0 outside the mask |
    | region | (1, S, S) uint8 | see `carve.synth.records.View`; 0 outside the mask |
    | place | (3, S, S) float32 | metres, nearest point of the undressed body, see `carve.body.places`; zero outside the mask |
    | albedo_front, albedo_back | (3, S, S) float32 | sRGB, 0..1, as repainted; zero outside the mask |
    | rough_mask | (1, S, S) float32 | the mask as a detector would give it (with `observed`) |
    | fitted_normal_front, fitted_normal_back | (3, S/2, S/2) float32 | of the body as a fit would give it (with `observed`) |
    | landmarks | (L, 4) float32 | u, v in pixels of the sample, distance in metres, 1 where seen |
    | camera | (5,) float32 | focal length, cx, cy, width, height in pixels of the sample |
    | up | (3,) float32 | against gravity, camera frame |
    | key | str | KEY.vN |

    OpenCV works with one thread in a process that has made one of these: its threads do not survive a fork, and a worker that waits for
    them waits for ever.
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        assets: Path,
        *,
        size: Literal[256, 512] = 512,
        framing: Framing = "whole",
        fields: tuple[Field, ...] = DEFAULT_FIELDS,
        augmented: bool = True,
        observed: bool = False,
        windows: float = WINDOWS,
        seed: int = 0,
        verify: bool = True,
    ) -> None:
        """Open a data set.

        Args:
            folder: of the shards, with dataset.json.
            split: which people.
            assets: the asset pack, for its panoramas and backgrounds.
            size: side of the photographs, pixels.
            framing: views of whole people, close-ups, or both.
            fields: the truth that is wanted; less takes less time.
            augmented: frame anew, mirror and occlude; without, the framing is the stored one and colours and light alone vary.
            observed: add mask and body with the errors that carve's own first stages make.
            windows: share of the views of whole people that are framed as a part of them.
            seed: of everything that is drawn.
            verify: compare the shards with their checksums first.

        Raises:
            CarveError: the shards or the assets are missing or damaged.
        """
        _stop_threads_of_opencv()
        self.shards = open_shards(folder, split, verify, framing)
        self.scenery = load_scenery(assets)
        self.size, self.fields, self.augmented, self.windows, self.seed = size, fields, augmented, windows, seed
        self._bodies = FittedBodies(load_full_body(), anatomy=False) if observed else None
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that outlive an epoch see the change

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a spawned worker."""
        self.__dict__.update(state)
        _stop_threads_of_opencv()

    def set_epoch(self, epoch: int) -> None:
        """Draw other photographs from now on."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, i: int) -> dict[str, Any]:
        """Item i of the present epoch; see `draw`."""
        return self.draw(i, int(self._epoch))

    def draw(self, i: int, epoch: int) -> dict[str, Any]:
        """Item i of an epoch.

        Raises:
            IndexError: i is not in 0 to len - 1.
            CarveError: a shard is damaged.
        """
        p, v = self.shards.pair(i)
        info = self.shards.person(p)
        names = _landmark_names(info, self.shards.people()[p])
        view = self.shards.view(p, v, view_fields(self.fields))
        rng = np.random.default_rng((self.seed, epoch, i))
        drawn = photograph(view, names, self.scenery, rng, self.size, self.fields, self.augmented, self.windows)
        item = _tensors(drawn) | {"key": f"{self.shards.people()[p]}.v{v}"}
        if self._bodies is not None:
            placement = info["cameras"][v]
            vertices = self._bodies.draw(
                self.shards.arrays(p, ARRAYS), np.array(placement["rotation"]), np.array(placement["translation"]), rng
            )
            item |= _observed(self._bodies, vertices, drawn, rng)
        return item


def _observed(bodies: FittedBodies, vertices: np.ndarray, drawn: Photograph, rng: np.random.Generator) -> dict[str, Tensor]:
    """The rough mask, and the maps of fitted vertices (V, 3) of the view's camera frame after the sample's motion."""
    half = drawn.truth.camera.cropped(0, 0, drawn.visible.shape[1] // 2, drawn.visible.shape[0] // 2, 0.5)
    faces = bodies.faces[:, ::-1] if drawn.motion.flip else bodies.faces
    front, back = front_and_back(vertices @ drawn.motion.turn.T, faces, half)
    return {
        "rough_mask": torch.from_numpy(rough_mask(drawn.visible, rng))[None],
        "fitted_normal_front": torch.from_numpy(np.ascontiguousarray(front.transpose(2, 0, 1))),
        "fitted_normal_back": torch.from_numpy(np.ascontiguousarray(back.transpose(2, 0, 1))),
    }


def _stop_threads_of_opencv() -> None:
    """Before the fork: a forked process cannot do it any more, since even this call waits for the threads."""
    cv2.setNumThreads(1)


def _landmark_names(info: dict[str, Any], key: str) -> tuple[str, ...]:
    names = info.get("landmarks")
    if not isinstance(names, list):
        raise CarveError(f"The JSON of person {key} does not name the landmarks; make the data set again.")
    return tuple(str(name) for name in names)


def _tensors(drawn: Photograph) -> dict[str, Tensor]:
    truth = drawn.truth
    mask = torch.from_numpy(truth.mask)[None]
    item = {
        "image": torch.from_numpy(np.stack(cv2.split(drawn.image))).float().div_(255),
        "mask": mask.float(),
        "visible": torch.from_numpy(drawn.visible)[None].float(),
        "weight": torch.from_numpy(truth.coverage)[None] * mask,
        "landmarks": torch.from_numpy(truth.landmarks).float(),
        "camera": torch.tensor(_numbers(truth.camera)),
        "up": torch.from_numpy(truth.up).float(),
    }
    item |= {field: torch.from_numpy(normal) for field, normal in truth.normals.items()}
    if "body_normal_front" in truth.normals:
        item["body_mask"] = (item["body_normal_front"] != 0).any(0, keepdim=True).float()
    item |= {field: torch.from_numpy(label)[None] for field, label in truth.labels.items()}
    item |= {field: torch.from_numpy(albedo) for field, albedo in truth.albedo.items()}
    if truth.place is not None:
        item["place"] = torch.from_numpy(truth.place)
    return item if truth.depth is None else item | {"depth": torch.from_numpy(truth.depth)[None]}


def _numbers(camera: Camera) -> list[float]:
    return [camera.focal, camera.cx, camera.cy, float(camera.width), float(camera.height)]
