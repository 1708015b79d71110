"""A data set of people that are known exactly: posed bodies in a skin of cloth, before known cameras, with what fits are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from carve.body.model import REGIONS
from carve.geometry.mesh import vertex_normals
from carve.geometry.rotations import matrix_from_rotvec
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.poses import apply_pose, rest_local
from carve.synth.records import PARTS
from carve.synth.store.shards import Person, Split, finish, write_block
from carve.synth.views.placement import Placement, sample_placement
from synth.views import LANDMARKS, Scene, make_view

MARKS = ("head", "leftUpperArm", "rightUpperArm", "leftFoot", "rightFoot")
"""Bones whose heads are the LANDMARKS."""


@dataclass(frozen=True)
class KnownPerson:
    """Somebody and where the cameras stand."""

    arrays: dict[str, np.ndarray]
    """What a shard holds of the body."""
    placements: tuple[Placement, ...]
    scenes: tuple[Scene, ...]
    """What each camera looks at, in its frame."""


def known_person(body: FullBody, shaped: ShapedBody, seed: int, views: int = 2, size: int = 256) -> KnownPerson:
    """Somebody with bent joints in 2 cm of cloth, seen from anywhere."""
    rng = np.random.default_rng(seed)
    local = rest_local(body, shaped)
    limbs = [
        body.names.index(body.humanoid[f"{side}{part}{bone}"])
        for side in ("left", "right")
        for part in ("Upper", "Lower")
        for bone in ("Arm", "Leg")
    ]
    for bone in limbs:
        local[bone] = matrix_from_rotvec(torch.from_numpy(rng.normal(0, 0.25, 3))).numpy() @ local[bone]
    pose = apply_pose(body, shaped, local)
    clothed = pose.posed + 0.02 * vertex_normals(pose.posed, body.faces)
    marks = pose.heads[[body.names.index(body.humanoid[bone]) for bone in MARKS]]
    arrays = {
        "body_canonical": shaped.canonical.astype(np.float32),
        "transforms": pose.transforms,
        "heads_canonical": shaped.heads,
        "heads_posed": pose.heads,
    }
    placements = tuple(sample_placement(clothed, float(rng.uniform(-3, 3)), rng) for _ in range(views))
    part = np.where(np.array(REGIONS)[body.region] == "torso", PARTS.index("top"), PARTS.index("skin"))
    scenes = tuple(
        Scene(
            vertices=p.see(clothed),
            body=p.see(pose.posed),
            faces=body.faces,
            part=part,
            region=np.asarray(body.region),
            albedo=np.full((len(part), 3), 140.0),
            landmarks=p.see(marks),
            camera=p.camera.cropped(0, 0, size, size, size / p.camera.width),
            up=p.rotation[:, 1],
        )
        for p in placements
    )
    return KnownPerson(arrays, placements, scenes)


def write_known(folder: Path, people: Mapping[str, tuple[Split, KnownPerson]]) -> Path:
    """A data set of these people, by key."""
    folder.mkdir(parents=True)
    block = [(split, _person(key, person)) for key, (split, person) in people.items()]
    records = write_block(folder, 0, block, "print")
    finish(folder, records, fingerprint="print", seed=0, settings={"distances": False}, licences=[{"asset": "none", "licence": "CC0-1.0"}])
    return folder


def _person(key: str, person: KnownPerson) -> Person:
    cameras = [{"rotation": p.rotation.tolist(), "translation": p.translation.tolist()} for p in person.placements]
    return Person(key, {"landmarks": list(LANDMARKS), "cameras": cameras}, person.arrays, [make_view(scene) for scene in person.scenes])


def small_assets(folder: Path) -> Path:
    """A panorama and a background of noise."""
    rng = np.random.default_rng(0)
    for name in ("hdri", "backgrounds"):
        (folder / name).mkdir(parents=True)
    cv2.imwrite(str(folder / "hdri" / "field_512.hdr"), rng.uniform(0.2, 2, (32, 64, 3)).astype(np.float32))
    cv2.imwrite(str(folder / "backgrounds" / "field_0.jpg"), rng.integers(0, 255, (128, 128, 3), dtype=np.uint8))
    return folder
