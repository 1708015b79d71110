"""Sequences in CLOTH3D's layout become people of a data set: clothes where they were simulated, a body of carve's own below them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from carve.app.cli import UNUSABLE, run
from carve.evaluate import true_body
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import skin
from carve.synth.people.bodies import load_full_body
from carve.synth.samples.fitted_body import FittedBodies
from carve.synth.store.shard_reader import ShardSet, open_shards
from evaluate.datasets.people_files import Person, person

PLACE = np.array([0.3, -0.2, 0.9])
RADIUS = 0.28
HIGH = {"Tshirt": (-0.05, 0.45), "Skirt": (-0.5, 0.0)}
"""Garment -> where its tube around the trunk begins and ends above the pelvis, metres."""


def tube(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and quads (Q, 4) of an open tube about +Z, wound outward."""
    rings, around = 12, 24
    angle = 2 * np.pi * np.arange(around) / around
    heights = np.linspace(low, high, rings)
    points = np.stack([np.column_stack([RADIUS * np.cos(angle), RADIUS * np.sin(angle), np.full(around, z)]) for z in heights])
    k = np.arange(around)
    ring = np.column_stack([k, (k + 1) % around, (k + 1) % around + around, k + around])
    return points.reshape(-1, 3), np.concatenate([ring + r * around for r in range(rings - 1)])


def write_sequence(folder: Path, someone: Person, name: str) -> None:
    """Three frames of somebody in both tubes; in the middle one they are where they belong."""
    at = folder / "Samples" / name
    at.mkdir(parents=True)
    for garment, ends in HIGH.items():
        points, quads = tube(*ends)
        lines = [f"v {x} {y} {z}" for x, y, z in points] + ["vt 0 0"] + ["f " + " ".join(f"{c + 1}/1" for c in quad) for quad in quads]
        (at / f"{garment}.obj").write_text("\n".join(lines) + "\n")
        frames = np.stack([points + 9, points, points + 9]).astype("<f2")
        head = struct.pack("<12siiffi", b"POINTCACHE2", 1, len(points), 0.0, 1.0, 3)
        (at / f"{garment}.pc16").write_bytes(head + frames.tobytes())
    outfit = {garment: {"texture": {"type": "color", "data": np.array([0.8, 0.1, 0.1])}} for garment in HIGH}
    poses, places = np.repeat(someone.turns.reshape(72, 1), 3, 1), np.repeat(PLACE[:, None], 3, 1)
    savemat(at / "info.mat", {"poses": poses, "trans": places, "shape": np.zeros(10), "gender": 0, "zrot": 0.5, "outfit": outfit})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sequence, and the holder's body model beside it."""
    folder = tmp_path_factory.mktemp("cloth3d")
    write_sequence(folder, person(folder, "smpl", (np.pi / 2, 0.0, 0.0)), "01_01_s0")
    return folder


def arguments(folder: Path, out: Path, *more: str) -> list[str]:
    model = next(folder.glob("*.npz"))
    return ["synth", "import-cloth3d", str(folder), "--out", str(out), "--body-model", str(model), *more]


@pytest.fixture(scope="module")
def shards(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """The data set made of it."""
    out = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(true_body, "STEPS", (40, 40))
        assert run([*arguments(folder, out), "--views", "1", "--close", "0", "--workers", "1"]) == 0
    return open_shards(out, "train")


def garment(arrays: dict[str, np.ndarray], number: int, space: str) -> np.ndarray:
    """(V, 3) vertices of a layer."""
    start, end = arrays["vertex_starts"][number : number + 2]
    return np.asarray(arrays[space][start:end], float)


def test_the_clothes_are_where_they_were_simulated(shards: ShardSet) -> None:
    info, arrays = shards.person(0), shards.arrays(0)
    assert [(layer["name"], layer["part"]) for layer in info["layers"]] == [
        ("skin", "skin"), ("Tshirt", "top"), ("Skirt", "bottom"), ("own-eyes", "eyes"),
    ]  # fmt: skip
    assert info["split"] == "train" and info["traits"]["female"]
    between = garment(arrays, 1, "posed")[:, 1].mean() - garment(arrays, 2, "posed")[:, 1].mean()
    assert between == pytest.approx(np.mean(HIGH["Tshirt"]) - np.mean(HIGH["Skirt"]), abs=0.01)
    for number, ends in enumerate(HIGH.values(), start=1):
        points = garment(arrays, number, "posed")
        expected = tube(*ends)[0]
        assert len(points) == len(expected)
        height = np.sort(points[:, 1]) - points[:, 1].mean()
        moved = np.abs(height - (np.sort(expected[:, 2]) - expected[:, 2].mean()))
        assert np.median(moved) < 0.002  # halves; what lies within carve's arms is pushed out


def test_both_spaces_are_in_correspondence(shards: ShardSet) -> None:
    arrays = shards.arrays(0)
    posed = skin(arrays["canonical"].astype(float), arrays["transforms"], arrays["bones"].astype(int), arrays["weights"].astype(float))
    assert np.abs(posed - arrays["posed"]).max() < 1e-4
    body = load_full_body()
    rotation, translation = (np.array(shards.person(0)["cameras"][0][name]) for name in ("rotation", "translation"))
    bodies = FittedBodies(body)
    seen = bodies.posed(bodies.true(arrays, rotation, translation))
    naked = garment(arrays, 0, "posed") @ rotation.T + translation
    assert np.median(np.linalg.norm(seen - naked, axis=1)) < 1e-3  # four weights a vertex against all, and what is sunk below cloth


def test_open_layers_are_solids_of_the_outer_surface(shards: ShardSet) -> None:
    """The tubes are closed over their openings: what is between skin and cloth lies inside."""
    arrays = shards.arrays(0)
    shirt, points = garment(arrays, 1, "posed"), arrays["posed_points"].astype(float)
    low, high = np.quantile(shirt[:, 1], [0.3, 0.7])
    away = np.linalg.norm((points - shirt.mean(0))[:, [0, 2]], axis=1)
    beside = (points[:, 1] > low) & (points[:, 1] < high)
    within, beyond = beside & (away < RADIUS - 0.03), beside & (away > RADIUS + 0.05)
    assert within.sum() > 20 and beyond.sum() > 20
    assert (arrays["posed_distance"][within] < 0).mean() > 0.95
    assert (arrays["posed_distance"][beyond] > 0).mean() > 0.5  # an arm may be there
    shirt = garment(arrays, 1, "canonical")
    rows = np.argsort(shirt[:, 1])[len(shirt) // 3 : 2 * len(shirt) // 3]
    inward = shirt[rows] + 0.1 * (shirt[rows].mean(0) - shirt[rows])
    assert MeshQueries(arrays["outer_vertices"], arrays["outer_faces"], winding=True).inside(inward).mean() > 0.9


def test_what_is_missing_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(folder, tmp_path / "out", "--only", "nobody")) == UNUSABLE
    assert "nobody" in capsys.readouterr().err
    assert run(arguments(folder, tmp_path / "out", "--close", "-1")) == UNUSABLE
    (folder / "none").mkdir()
    asked = arguments(folder, tmp_path / "out")
    asked[2] = str(folder / "none")
    assert run(asked) == UNUSABLE
    assert "CLOTH3D" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
