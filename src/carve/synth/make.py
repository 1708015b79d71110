"""From a seed to shards of people: person number i depends on the seed, the assets and the library of drapes, and on nothing else."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from carve.body.anny import AnnyBody, load_anny
from carve.body.places import body_places
from carve.synth.assets.files import Assets, no_assets, read_assets
from carve.synth.cloth.drape import DrapeError
from carve.synth.cloth.drapes import StoredDrape, draped_pose, loose_garments, make_drape, read_drape, report_line, write_drape
from carve.synth.cloth.library import give_up, have, make_member
from carve.synth.cloth.tailored import made_extras, made_hat, made_shoes, skinned_outfit
from carve.synth.hair.beards import beard_pattern
from carve.synth.hair.grown import grown_hair
from carve.synth.hair.locks import curl_of, strand_image, with_relief, wrapped_hair
from carve.synth.looks.appearance import (
    Texture,
    brow_texture,
    eye_texture,
    garment_texture,
    hair_colour,
    planar_uv,
    skin_texture,
    uv_scale,
    vertex_regions,
)
from carve.synth.outer.stored import stored_arrays
from carve.synth.people.bodies import FullBody, Traits, load_full_body, sample_traits, shape_body
from carve.synth.people.hair_styles import STYLES, parse_hair_name
from carve.synth.people.heels import on_heels
from carve.synth.people.landmarks import landmark_names, landmarks
from carve.synth.people.poses import apply_pose, sample_pose
from carve.synth.records import PARTS, View
from carve.synth.store.shards import Person, ShardRecord, Split, finish, resume, write_block
from carve.synth.views.cameras import sample_cameras
from carve.synth.views.painting import Decal, Paint
from carve.synth.views.placement import Placement
from carve.synth.views.render import render_view
from carve.synth.views.scene import Scene, build_scene
from carve.synth.wear.choice import choose_outfit
from carve.synth.wear.garments import Pattern, coarse_pattern
from carve.synth.wear.outfits import Outfit, complete_outfit
from carve.synth.wear.person import Dressed, Worn, dress, own_eyes, placed
from carve.synth.wear.wardrobe import CLOTHES, Wardrobe, held_out

VALIDATION = 10
"""Every so many-th person is for validation."""
DRAPED = 0.88
"""Share of the people who wear what a member of the library wears; the others' clothes are the assets', skinned."""
ASSETS_TURN = 10
"""Every so many-th member of the library wears a garment of the assets, if one hangs; the others are in tailor's garments."""


@dataclass(frozen=True)
class Plan:
    """What to make; everything that the result depends on besides the assets."""

    people: int
    """How many."""
    seed: int = 0
    """Of all random numbers."""
    views: int = 4
    """Cameras before each person that see them whole."""
    close: int = 2
    """Cameras before each person that see a part of them closely."""
    drapes: int = 100
    """Simulated garments in the library; 0 for none."""
    samples: tuple[int, int, int] = (8192, 8192, 4096)
    """Points of each person and space with a signed distance: on the surface, near it, anywhere in the box."""
    distances: bool = True
    """Whether the outer surface and its signed distance are made; normals are learned without, and a person costs a quarter less."""
    block: int = 10
    """People in a block: what one worker makes in one go, and what an interruption loses at most."""


@dataclass
class Maker:
    """Everything that is loaded once and serves all people."""

    assets: Assets
    plan: Plan
    body: FullBody
    wardrobe: Wardrobe
    slim: AnnyBody
    drapes: dict[Split, list[Path]]
    places: np.ndarray
    """(V, 3) places of the body's vertices, see `carve.body.places`."""
    _hair: dict[str, Pattern] = field(default_factory=dict)
    _drape_cache: dict[Path, StoredDrape] = field(default_factory=dict)

    def hair(self, name: str, seed: int) -> Pattern:
        """A hair style with its own locks; the wrapped style is made when first asked for."""
        if name not in self._hair:
            grown = parse_hair_name(name)
            if grown is None:
                asset = self.assets.garments[name]
                self._hair[name] = wrapped_hair(self.body, asset, self.wardrobe.reference_of(asset))
            else:
                reference = self.wardrobe.reference(STYLES[grown[0]].worn == "women")
                self._hair[name] = grown_hair(self.body, reference, *grown)
        asset = self._hair[name].asset
        return with_relief(self._hair[name], self.body, self.wardrobe.reference_of(asset), curl_of(asset), seed)

    def drape(self, path: Path) -> StoredDrape:
        """A member of the library; the last few are kept."""
        if path not in self._drape_cache:
            if len(self._drape_cache) > 24:
                self._drape_cache.pop(next(iter(self._drape_cache)))
            self._drape_cache[path] = read_drape(path, self.wardrobe)
        return self._drape_cache[path]


def open_maker(assets: Path | None, plan: Plan, library: Path | None, skip_bad: bool = False) -> Maker:
    """Load the assets, if any, and the body; `library` is the folder of drapes."""
    read = read_assets(assets, skip_bad) if assets else no_assets()
    body = load_full_body()
    drapes: dict[Split, list[Path]] = {"train": [], "val": []}
    if library is not None:
        for path in sorted(library.glob("*.json")):
            drapes[json.loads(path.read_text())["split"]].append(path)
    slim = load_anny()
    return Maker(read, plan, body, Wardrobe(body, read), slim, drapes, body_places(slim))


def split_of(index: int) -> Split:
    """Every VALIDATION-th person is for validation."""
    return "val" if index % VALIDATION == VALIDATION - 1 else "train"


@dataclass(frozen=True)
class Made:
    """A person before they are photographed."""

    index: int
    split: Split
    traits: Traits
    outfit: Outfit
    dressed: Dressed
    brows: tuple[tuple[str, Worn], ...]
    """Brows and lashes: asset and where they lie."""
    draped: str | None
    """Name of the drape that is worn."""


def make_body(maker: Maker, index: int) -> Made:
    """Body, pose, outfit and layers of person number `index`."""
    rng = np.random.default_rng([maker.plan.seed, 1, index])
    split = split_of(index)
    body, motions = maker.body, tuple(maker.assets.motions.values())
    stored = None
    bare = not any(maker.wardrobe.names(kind, split) for kind in CLOTHES)  # nothing to wear but the tailor's
    if maker.drapes[split] and (rng.random() < DRAPED or bare):
        stored = maker.drape(maker.drapes[split][int(rng.integers(len(maker.drapes[split])))])
    traits = sample_traits(body, rng)
    if stored is not None:
        traits = replace(stored.traits, face=traits.face, local=_own_face(stored.traits, traits))
    shaped = shape_body(body, traits)
    drapes = stored.pieces if stored else skinned_outfit(body, shaped, traits, rng) if bare else ()
    if bare or (stored is not None and stored.tailored):
        worn = tuple(piece.item for piece in drapes)
        shoes = partial(made_shoes, body, shaped, traits.female, rng=rng)
        worn += made_extras(body, shaped, traits.adult, worn, rng)
        outfit = complete_outfit(maker.wardrobe, traits, split, rng, worn, shoes, partial(made_hat, body, shaped, traits.female, rng))
    else:
        outfit = choose_outfit(maker.wardrobe, traits, split, rng, stored.pieces[0].item if stored else None)
    thick = any(piece.kind == "coat" for piece in outfit.pieces)
    pose = sample_pose(body, shaped, motions, rng, arms_out=0.16 if thick else 0.07)
    if stored is not None:
        pose = apply_pose(body, shaped, draped_pose(body, stored, pose), stored.pose_kind)
    if stand := max((piece.stand for piece in outfit.pieces), default=0.0):
        pose = on_heels(body, shaped, pose, stand)
    hair = maker.hair(outfit.hair, index) if outfit.hair else None
    # Stubble is no volume: the skin's texture has it.
    grown = outfit.beard is not None and outfit.beard != "stubble"
    beard = beard_pattern(body, maker.wardrobe.reference(False), outfit.beard, rng) if grown else None  # type: ignore[arg-type]
    eyes = _eyes(maker)
    dressed = dress(body, shaped, pose, outfit, eyes, hair, beard, drapes, rng)
    brows = tuple((name, placed(coarse_pattern(body, maker.assets.garments[name]), shaped, pose)) for name in _brows(maker, split, rng))
    return Made(index, split, traits, outfit, dressed, brows, stored.name if stored else None)


def _own_face(kept: Traits, other: Traits) -> dict[str, float]:
    """The local changes of one person with the face of another: the body must stay the one that the cloth was draped on."""
    face = ("cheek", "chin", "ear", "eye", "forehead", "head-", "mouth", "nose")
    return {name: other.local.get(name, value) if any(word in name for word in face) else value for name, value in kept.local.items()}


def _eyes(maker: Maker) -> Pattern:
    """The assets' eyes, or the body's own where there are none."""
    names = sorted(name for name, asset in maker.assets.garments.items() if asset.kind == "eyes")
    return coarse_pattern(maker.body, maker.assets.garments[names[0]]) if names else own_eyes(maker.body)


def _brows(maker: Maker, split: Split, rng: np.random.Generator) -> list[str]:
    picked = []
    for kind in ("eyebrows", "eyelashes"):
        names = maker.wardrobe.names(kind, split)
        if names:
            picked.append(str(names[rng.integers(len(names))]))
    return picked


@dataclass(frozen=True)
class Look:
    """Textures of a person's layers, in their order, and of the brows."""

    textures: tuple[Texture, ...]
    brows: tuple[Texture, ...]


def choose_look(maker: Maker, made: Made, rng: np.random.Generator) -> Look:
    """Skin, hair, eyes and cloth. Fabrics that are held out are seen in validation only."""
    names = sorted(maker.assets.fabrics)
    kept = held_out(names)
    fabrics = tuple(name for name in names if (name in kept) == (made.split == "val"))
    colour = hair_colour(made.traits, rng)
    textures = []
    for worn in made.dressed.worn:
        part = PARTS[worn.layer.part]
        if worn.pattern is None:
            textures.append(skin_texture(maker.assets, made.traits, rng, hair=colour, shaved=made.outfit.beard is None))
        elif part == "eyes":
            textures.append(eye_texture(maker.assets, rng, made.traits.race))
        elif part == "hair":
            curl = curl_of(worn.pattern.asset)
            strands = strand_image(rng, colour.astype(float), curl)
            source = {"mode": "hair", "colour": colour.tolist()}
            textures.append(Texture(strands, None, None, "uv", float(rng.uniform(0.28, 0.45)), 0.045, source))
        else:
            textures.append(garment_texture(maker.assets, worn.pattern.asset, fabrics, rng))
    brows = tuple(brow_texture(maker.assets, maker.assets.garments[name], colour, rng) for name, _ in made.brows)
    return Look(tuple(textures), brows)


def _cloth_places(body: FullBody, worn: Worn) -> np.ndarray | None:
    """(F, 3, 2) planar coordinates of a garment's corners, metres; None for what is no cloth."""
    layer = worn.layer
    if PARTS[layer.part] in ("skin", "hair", "eyes", "glasses"):
        return None
    return planar_uv(worn.rest, layer.faces, vertex_regions(body, layer.bones, layer.weights))


def _paint(texture: Texture, worn: Worn, fabric: np.ndarray | None) -> Paint:
    """The texture with coordinates in tiles; `fabric` is what `_cloth_places` says."""
    layer, uv = worn.layer, worn.layer.uv
    if texture.scale is not None and texture.coordinates == "planar" and fabric is not None:
        uv = fabric / texture.scale
    elif texture.scale is not None:
        uv = uv * uv_scale(worn.rest, layer.faces, uv) / texture.scale
    return Paint(texture.image, texture.alpha, uv, fabric)


@dataclass(frozen=True)
class Taken:
    """What the cameras saw of a person."""

    scene: Scene
    views: list[View]
    seen: list[np.ndarray]
    """Which vertices each view sees."""
    cameras: list[tuple[str, Placement]]
    """What each shows and where it stands."""
    looks: list[Look]
    """What was painted on for each: other colours every second view."""


def photograph_person(maker: Maker, made: Made) -> Taken:
    """All views of a person."""
    rng = np.random.default_rng([maker.plan.seed, 2, made.index])
    pose = made.dressed.pose
    scene = build_scene(maker.body, made.dressed.layers, made.dressed.shaped.canonical, pose.posed, maker.places)
    first_face = np.concatenate([np.flatnonzero(layer.shown) for layer in made.dressed.layers])
    marks = landmarks(pose.heads, pose.posed)
    views, seen, looks = [], [], []
    fabrics = [_cloth_places(maker.body, worn) for worn in made.dressed.worn]
    paints: list[Paint] = []
    decals: list[Decal] = []
    plan, shown = maker.plan, scene.vertices[np.unique(scene.faces)]
    cameras = sample_cameras(maker.body, pose.heads, shown, plan.views, plan.close, rng)
    for number, (_, placement) in enumerate(cameras):
        if number % 2 == 0:
            look = choose_look(maker, made, rng)
            paints = [_paint(*each) for each in zip(look.textures, made.dressed.worn, fabrics, strict=True)]
            decals = [
                Decal(worn.layer.posed, worn.layer.faces, Paint(texture.image, texture.alpha, worn.layer.uv))
                for texture, (_, worn) in zip(look.brows, made.brows, strict=True)
            ]
        view, visible = render_view(scene, placement, paints, decals, first_face, marks, rng)
        views.append(view)
        seen.append(visible)
        looks.append(look)
    return Taken(scene, views, seen, cameras, looks)


def make_person(maker: Maker, index: int) -> Person:
    """Person number `index`, ready to be stored."""
    made = make_body(maker, index)
    taken = photograph_person(maker, made)
    dressed, plan = made.dressed, maker.plan
    rng = np.random.default_rng([plan.seed, 3, index])
    samples = plan.samples if plan.distances else None
    arrays, outer = stored_arrays(
        dressed.layers, dressed.pose, dressed.shaped.canonical, dressed.shaped.heads, taken.seen, samples, rng
    )  # fmt: skip
    info = {
        "index": index,
        "split": made.split,
        "seed": maker.plan.seed,
        "stature": dressed.shaped.stature,
        "traits": asdict(made.traits),
        "pose": dressed.pose.kind,
        "drape": made.draped,
        "layers": [{"name": layer.name, "part": PARTS[layer.part], "vertices": len(layer.canonical)} for layer in dressed.layers],
        "outfit": [piece.name for piece in made.outfit.pieces],
        "changes": made.outfit.changes,
        "hair": made.outfit.hair,
        "beard": made.outfit.beard,
        "inside": {"canonical": dressed.inside_canonical, "posed": dressed.inside_posed},
        "outer": outer,
        "landmarks": list(landmark_names()),
        "cameras": [{"shows": s, "rotation": p.rotation.tolist(), "translation": p.translation.tolist()} for s, p in taken.cameras],
        "textures": [
            {
                layer.name: {"roughness": t.roughness, "specular": t.specular, **t.source}
                for layer, t in zip(dressed.layers, look.textures, strict=True)
            }
            for look in taken.looks
        ],
    }
    return Person(f"{index:06d}", info, arrays, taken.views)


_WORKER: Maker | None = None
"""The maker of this worker process."""


def _start_worker(assets: Path | None, plan: Plan, library: Path | None, skip_bad: bool) -> None:
    global _WORKER
    _one_thread()
    _WORKER = open_maker(assets, plan, library, skip_bad)


def _one_thread() -> None:
    """Workers share the cores by number; threads of their own would fight, and could sum in another order."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _block(folder: Path, block: int, fingerprint: str) -> tuple[int, tuple[ShardRecord, ...]]:
    assert _WORKER is not None
    maker = _WORKER
    first = block * maker.plan.block
    indices = range(first, min(first + maker.plan.block, maker.plan.people))
    return block, write_block(folder, block, ((split_of(i), make_person(maker, i)) for i in indices), fingerprint)


def _drape(folder: Path, index: int, split: Split, seed: int) -> str:
    assert _WORKER is not None
    if index % ASSETS_TURN == ASSETS_TURN // 2 and loose_garments(_WORKER.wardrobe):
        try:
            stored = make_drape(_WORKER.wardrobe, index, split, seed)
        except DrapeError as error:
            give_up(folder, index, [str(error)])
            return f"drape {index} was given up: {error}"
        write_drape(folder, stored)
        return report_line(stored)
    return make_member(folder, index, split, seed, tuple(_WORKER.assets.motions.values()))


def fingerprint_of(assets: Path | None, plan: Plan, library: Path | None) -> str:
    """sha256 of all that the shards depend on: settings, every file of the assets and of the library by name and size, carve's version."""
    from carve import __version__

    digest = hashlib.sha256(f"{__version__} {replace(plan, people=0)}".encode())
    for root in (root for root in (assets, library) if root is not None):
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".txt":  # a list of failures that grows
                digest.update(f"{path.relative_to(root)} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


Report = Callable[[str, int, int, str], None]
"""Called with a phase, how much of it is done, how much there is, and a line to show (may be empty)."""


def make_drapes(assets: Path | None, library: Path, plan: Plan, workers: int, skip_bad: bool, report: Report) -> None:
    """Simulate what the library lacks; one member in VALIDATION is for validation. Members that are there stay."""
    library.mkdir(parents=True, exist_ok=True)
    for part in library.glob("*.part"):
        part.unlink()
    there = have(library)
    missing = [k for k in range(plan.drapes) if k not in there]
    done = plan.drapes - len(missing)
    for line in _run(_drape, [(library, k, split_of(k), plan.seed) for k in missing], assets, plan, None, workers, skip_bad):
        done += 1
        report("drapes", done, plan.drapes, line)


def make_people(assets: Path | None, folder: Path, library: Path | None, plan: Plan, workers: int, skip_bad: bool, report: Report) -> Path:
    """Write all blocks that are missing, and dataset.json at the end; returns its path."""
    mark = fingerprint_of(assets, plan, library)
    done = resume(folder, mark)
    blocks = range(-(-plan.people // plan.block))
    full = {b: records for b, records in done.items() if b in blocks and sum(len(r.keys) for r in records) == _size(b, plan)}
    missing = [b for b in blocks if b not in full]
    count = sum(_size(b, plan) for b in full)
    report("people", count, plan.people, "")
    for block, records in _run(_block, [(folder, b, mark) for b in missing], assets, plan, library, workers, skip_bad):
        full[block] = records
        count += _size(block, plan)
        report("people", count, plan.people, "")
    read = read_assets(assets, skip_bad) if assets else no_assets()
    return finish(
        folder,
        [record for b in blocks for record in full[b]],
        fingerprint=mark,
        seed=plan.seed,
        settings={**asdict(plan), "refused": read.refused},
        licences=[{k: str(v) for k, v in asdict(licence).items()} for licence in read.licences],
    )


def _size(block: int, plan: Plan) -> int:
    return min(plan.block, plan.people - block * plan.block)


def _run(
    task: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    assets: Path | None,
    plan: Plan,
    library: Path | None,
    workers: int,
    skip_bad: bool,
) -> Iterator[Any]:
    """Results of task(*job) as they come. Worker processes are fresh ones, so that no state of this process leaks into the result."""
    if not jobs:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, _start_worker, (assets, plan, library, skip_bad)) as pool:
        futures = [pool.submit(task, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            raise
