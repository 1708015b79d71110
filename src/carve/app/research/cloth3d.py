"""`carve synth import-cloth3d`: sequences of CLOTH3D that the user holds, as training shards.

The body of the data set is the holder's SMPL; what is stored is carve's own body, laid into it frame by frame, in the data set's garments.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch

from carve import __version__
from carve.body.anny import load_anny
from carve.body.smpl import SmplBody, load_smpl
from carve.evaluate.cases import Case
from carve.evaluate.datasets.cloth3d import Dressed, dressed, names, read_sample, sample_folder
from carve.evaluate.datasets.scan import Surface
from carve.evaluate.true_body import fit_true_body
from carve.evaluate.views import welded_normals
from carve.geometry.camera import Camera
from carve.records import CarveError
from carve.synth.assets.files import no_assets, read_assets
from carve.synth.brought import Brought, Studio, brought_person, open_studio
from carve.synth.make import Plan
from carve.synth.people.bodies import load_full_body
from carve.synth.store.shards import Person, ShardRecord, Split, finish, resume, write_block
from carve.synth.views.occluders import need_embree
from carve.synth.wear.brought import Garment

SAMPLES = 10
"""In a block: what is made in one go, and what an interruption loses at most. The last of each full block is for validation."""
PARTS_OF = {
    "tshirt": "top", "top": "top", "trousers": "bottom", "shorts": "bottom", "skirt": "bottom", "jumpsuit": "suit", "dress": "dress",
    "openshirt": "coat",
}  # fmt: skip
"""Garment of CLOTH3D, small letters, to one of `carve.synth.records.PARTS`; any other is an accessory."""
AWAY = 4.0
"""Metres from the eye to the person for the fit, which wants a camera."""
LICENCE = {
    "asset": "CLOTH3D",
    "licence": "as granted to the holder: research only unless agreed otherwise; so are weights that learn from it",
    "author": "Bertiche, Madadi, Escalera (ECCV 2020)",
    "source": "https://arxiv.org/abs/1912.02792",
}


@dataclass(frozen=True)
class _Job:
    """All that a worker needs for a block."""

    folder: Path
    model: Path
    assets: Path | None
    plan: Plan
    frames: int
    out: Path
    fingerprint: str
    block: int
    names: tuple[str, ...]


def run_import(arguments: argparse.Namespace) -> int:
    """Import; exit code 0 if somebody was made."""
    if arguments.close < 0:
        raise CarveError("--close cannot be negative; give 0 for none.")
    if not arguments.folder.is_dir():
        raise CarveError(f"The folder of CLOTH3D {arguments.folder} does not exist.")
    chosen = names(arguments.folder)
    if missing := sorted(set(arguments.only) - set(chosen)):
        raise CarveError(f"{arguments.folder} has no sequence {missing[0]}.")
    chosen = [name for name in chosen if not arguments.only or name in arguments.only]
    need_embree()
    load_smpl(arguments.body_model)
    load_full_body()  # written once, before the workers would all do it
    distances = not arguments.no_distances
    plan = Plan(len(chosen) * arguments.frames, arguments.seed, arguments.views, arguments.close, drapes=0, distances=distances)
    mark = _fingerprint(arguments, plan, chosen)
    blocks = [tuple(chosen[start : start + SAMPLES]) for start in range(0, len(chosen), SAMPLES)]
    done = resume(arguments.out, mark)
    common = (arguments.folder, arguments.body_model, arguments.assets, plan, arguments.frames, arguments.out, mark)
    jobs = [_Job(*common, block, part) for block, part in enumerate(blocks) if block not in done]
    for block, records, lines in _run(jobs, arguments.workers):
        done[block] = records
        for line in lines:
            print(line, flush=True)
        print(f"{sum(len(r.keys) for records in done.values() for r in records)} of {plan.people} people", flush=True)
    every = [record for block in sorted(done) for record in done[block]]
    if not any(record.keys for record in every):
        raise CarveError("Nobody could be made of these sequences; the lines above say why.")
    settings = {**asdict(plan), "source": "CLOTH3D", "frames": arguments.frames, "refused": {}}
    print(finish(arguments.out, every, fingerprint=mark, seed=plan.seed, settings=settings, licences=[LICENCE]))
    return 0


def _fingerprint(arguments: argparse.Namespace, plan: Plan, chosen: list[str]) -> str:
    """sha256 of all that the shards depend on: settings, the sequences by name and size, the body model, the assets, carve's version."""
    digest = hashlib.sha256(f"{__version__} cloth3d {plan} {arguments.frames}".encode())
    digest.update(hashlib.sha256(arguments.body_model.read_bytes()).digest())
    roots = [sample_folder(arguments.folder, name) for name in chosen] + ([arguments.assets] if arguments.assets else [])
    for root in roots:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            digest.update(f"{root.name} {path.relative_to(root)} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _run(jobs: list[_Job], workers: int) -> Iterator[tuple[int, tuple[ShardRecord, ...], list[str]]]:
    """Blocks as they are done."""
    if workers == 1 or len(jobs) < 2:
        yield from map(_block, jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn")) as pool:
        yield from pool.map(_block, jobs)


def _block(job: _Job) -> tuple[int, tuple[ShardRecord, ...], list[str]]:
    """Write the shards of a block; its number, what was written, and a line for every frame that was left out."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    studio = open_studio(read_assets(job.assets) if job.assets else no_assets(), job.plan)
    lines: list[str] = []
    people = _people(job, studio, load_smpl(job.model), lines)
    return job.block, write_block(job.out, job.block, people, job.fingerprint), lines


def _people(job: _Job, studio: Studio, model: SmplBody, lines: list[str]) -> Iterator[tuple[Split, Person]]:
    """The people of a block; what cannot be made goes into `lines`."""
    for place, name in enumerate(job.names):
        split: Split = "val" if place == SAMPLES - 1 else "train"
        at = sample_folder(job.folder, name)
        try:
            sample = read_sample(at / "info.mat")
        except CarveError as error:
            lines.append(f"{name} is left out: {error}")
            continue
        count = len(sample.poses)
        frames = np.unique(np.floor((np.arange(job.frames) + 0.5) * count / job.frames).astype(int))
        for number, frame in enumerate(frames):
            try:
                brought = _brought(name, int(frame), dressed(at, sample, int(frame), model), sample.female)
                index = (job.block * SAMPLES + place) * job.frames + number
                yield split, brought_person(studio, index, split, brought)
            except CarveError as error:
                lines.append(f"{name}, frame {frame}, is left out: {error}")


def _brought(name: str, frame: int, found: Dressed, female: bool) -> Brought:
    """A frame with carve's own body in the place of SMPL's."""
    shift = np.array([0.0, 0.0, -AWAY]) - found.body.vertices.mean(0)
    fit = fit_true_body(_case(f"{name}, frame {frame},", found, shift), load_anny())
    garments = tuple(_garment(garment, surface, shift) for garment, surface in found.garments.items())
    return Brought(f"CLOTH3D {name} {frame}", female, fit, garments)


def _case(name: str, found: Dressed, shift: np.ndarray) -> Case:
    """The naked body as a case before a camera."""
    vertices, faces = found.body.vertices + shift, found.body.faces
    joints = {bone: place + shift for bone, place in found.joints.items()}
    projection, up = Camera.centred(512, 512, 1000.0).projection, np.array([0.0, 1.0, 0.0])
    points, mask = welded_normals(vertices, faces), np.zeros((512, 512), bool)
    return Case(name, Path(name), mask, projection, vertices, points, 0.01, None, joints, up, (vertices, faces))


def _garment(name: str, surface: Surface, shift: np.ndarray) -> Garment:
    """A garment as read."""
    assert surface.uv is not None and surface.texture is not None  # the reader paints what has no picture
    part = PARTS_OF.get(name.lower(), "accessory")
    return Garment(name, part, surface.vertices + shift, surface.faces, surface.uv[surface.faces], surface.texture)
