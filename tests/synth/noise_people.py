"""Made-up people whose views are noise, and a data set of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from carve.geometry.camera import Camera
from carve.synth.records import View
from carve.synth.store.shards import Person, Split, finish, write_block
from carve.synth.store.view_codec import FIELDS

NUMBERS = ("up", "depth_range", "sun_directions", "sun_radii", "landmarks")
FINE = {"depth": (), "place": (3,), "fabric": (2,), "fabric_back": (2,)}
"""Pictures of 16 bit and their components."""


def view(seed: int = 0, suns: int = 1, size: tuple[int, int] = (20, 13)) -> View:
    """A view of noise, which no lossy step survives."""
    rng, (h, w) = np.random.default_rng(seed), size
    shapes = dict.fromkeys(("coverage", "occlusion", "part", "part_back", "region"), (h, w)) | {"sun_free": (h, w, suns)}
    shapes |= {name: (h, w, *more) for name, more in FINE.items()}
    pictures = {
        name: rng.integers(0, 65536 if name in FINE else 256, shapes.get(name, (h, w, 3))).astype(np.uint16 if name in FINE else np.uint8)
        for name in FIELDS
    }
    return View(
        camera=Camera(w, h, 1 / 3, 0.1, 1e-7),
        up=rng.normal(size=3),
        depth_range=(1 / 3, np.pi),
        sun_directions=rng.normal(size=(suns, 3)),
        sun_radii=rng.random(suns),
        landmarks=rng.normal(size=(5, 4)),
        **pictures,
    )


def assert_equal(found: View, wanted: View, names: tuple[str, ...] = (*FIELDS, *NUMBERS)) -> None:
    """Bit for bit, with the types."""
    assert found.camera == wanted.camera
    for name in names:
        a, b = np.asarray(getattr(found, name)), np.asarray(getattr(wanted, name))
        assert a.dtype == b.dtype and a.flags.c_contiguous, name
        np.testing.assert_array_equal(a, b, err_msg=name)


def person(index: int, views: int = 2) -> Person:
    """A person whose content follows from the index."""
    rng = np.random.default_rng(index)
    arrays: dict[str, np.ndarray] = {"points": rng.normal(size=(7, 3)).astype(np.float32), "faces": rng.integers(0, 7, (4, 3))}
    return Person(
        f"person-{index:06d}", {"index": index, "age": 0.5, "worn": ("coat",)}, arrays, [view(10 * index + v) for v in range(views)]
    )


def block(number: int) -> Iterator[tuple[Split, Person]]:
    """Three people a block; the second of every odd block is for validation."""
    for i in range(3 * number, 3 * number + 3):
        yield ("val" if number % 2 and i % 3 == 1 else "train"), person(i, views=1 + i % 2)


def data_set(folder: Path, blocks: int = 3) -> Path:
    """A finished data set."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [r for b in range(blocks) for r in write_block(folder, b, block(b), "print")]
    finish(folder, records, fingerprint="print", seed=7, settings={"views": 2}, licences=[{"asset": "a"}], credits=["c"])
    return folder
