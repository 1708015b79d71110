"""The algorithm on one page: one photo in, one avatar out.

    Photo -> Observation -> BodyFit -> NormalMaps -> BodyFit -> BodyFit -> NormalMaps
          -> CanonicalSurface -> PosedSurface -> TexturedSurface -> Avatar

The body is fitted twice: to the landmarks, and then to what the normals network says with and without that body. With the second body the
network is asked again. The canonical surface is the implicit network's where the preset has one, else it is made without learning.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from carve.back_photo.person import observe_back
from carve.back_photo.registration import Params as BackParams
from carve.back_photo.registration import back_report, register_back
from carve.body.anny import CacheWarning, load_anny
from carve.body.smpl import load_smpl
from carve.export.options import ExportOptions
from carve.export.outputs import write_avatar
from carve.geometry.pictures.excerpt import Excerpt
from carve.io.archive import as_plain, fingerprint
from carve.io.image import read_mask, read_photo
from carve.io.landmark_file import landmark_document, read_landmarks
from carve.io.outputs import Extra, write_outputs, write_report
from carve.io.run_folder import Existing, RunFolder
from carve.large_photo import LargePhoto, into_overview, large_photo, moved, own_normals_in, whole_box
from carve.networks.detail import load_detail_net
from carve.networks.detectors.mediapipe_graph import close_graphs
from carve.networks.hyper import load_hyper_net
from carve.networks.implicit import load_implicit_net
from carve.networks.normals import load_normals_net
from carve.networks.shading import load_shading_net
from carve.networks.weights import identity, ships
from carve.own_normals import own_depth, own_normals
from carve.person_height import height_doubt
from carve.provenance import licences, versions
from carve.records import (
    Avatar,
    BackView,
    BodyFit,
    CanonicalSurface,
    CarveError,
    Landmarks,
    NormalMaps,
    Observation,
    Photo,
    PosedSurface,
    TexturedSurface,
)
from carve.runner import Deferred, Progress, StageRunner, silent
from carve.settings import Settings, StageName, learned_surface, preset_note, settled
from carve.stages.canonical import build_canonical
from carve.stages.clothed import build_clothed
from carve.stages.fit_body import fit_body, refit_body
from carve.stages.fit_face import fit_face
from carve.stages.normals import predict_evidence, predict_normals, with_mask
from carve.stages.observe import Params as ObserveParams
from carve.stages.observe import observe, pose_note, with_installed
from carve.stages.refine import refine
from carve.stages.rig import rig
from carve.stages.texture import bake_texture
from carve.stages.texturing.light import Light
from carve.stages.worn import Params as WornParams
from carve.stages.worn import take_off


def reconstruct(
    photo: Photo | Path | str,
    settings: Settings | None = None,
    *,
    out: Path | str | None = None,
    mask: Path | str | np.ndarray | None = None,
    landmarks: Path | str | Landmarks | None = None,
    body_model: Path | str | None = None,
    body: BodyFit | None = None,
    normals_front: Path | str | None = None,
    normals_back: Path | str | None = None,
    normals_model: Path | str | None = None,
    depth_model: Path | str | None = None,
    back_photo: Photo | Path | str | None = None,
    existing: Existing = "refuse",
    start: StageName | None = None,
    extras: Sequence[Extra] = (),
    export: ExportOptions | None = None,
    progress: Progress = silent,
) -> Avatar:
    """Reconstruct the person in `photo` and, if `out` is given, write the output folder.

    Args:
        photo: a decoded picture or a file.
        settings: all stages' parameters; the preset `standard` if None.
        out: the output folder; finished stages are kept in it.
        mask: the person's mask, (H, W) float 0..1 or a picture of the photo's size; replaces the detector's.
        landmarks: the person's 2D landmarks or a file such as OUT/stages/landmarks.json; replaces the detector's.
        body_model: an SMPL or SMPL-X file; the bundled free body model if None.
        body: the person's body in the photo's camera frame, where it is known; it is not fitted then.
        normals_front: a PNG with the front normals, which replace the network's.
        normals_back: the same for the back.
        normals_model: an ONNX model for the normals, its conventions in a JSON file of its name.
        depth_model: an ONNX model for the depth that the body is fitted to; the same kind of JSON file.
        back_photo: the same person in the same clothes, seen from behind: colours for what `photo` does not show.
        existing: what to do with an `out` that holds something.
        start: take the stages before this one from `out` as they are and run it and those after it.
        extras: formats to write beside GLB.
        export: rest pose, skeleton and formats of the avatar's files.
        progress: told each stage's name and the share that is done.

    Raises:
        CarveError: the input or an argument is unusable.
        StageError: a stage could not finish.
    """
    settings = settled(settings or Settings())
    _check_together(start, out is not None, not (mask is None and landmarks is None), body is not None, depth_model is not None)
    source = photo if isinstance(photo, Photo) else read_photo(Path(photo))
    given_mask = read_mask(Path(mask), source.size) if isinstance(mask, (str, Path)) else mask
    given_landmarks = read_landmarks(Path(landmarks)) if isinstance(landmarks, (str, Path)) else landmarks
    notes: list[str] = []
    model = _body_model(Path(body_model) if body_model is not None else None, progress, notes.append)
    given = None if body is None else Deferred(fingerprint(body), lambda: body)
    own = own_normals(source.size, *(Path(p) if p is not None else None for p in (normals_front, normals_back, normals_model)))
    depth = own_depth(Path(depth_model) if depth_model is not None else None)
    behind = read_photo(Path(back_photo)) if isinstance(back_photo, (str, Path)) else back_photo
    with RunFolder(Path(out), "resume" if start else existing) if out is not None else nullcontext() as folder:
        run = StageRunner(settings.seed, folder, start, progress, warnings=notes)
        avatar, excerpt = run_stages(run, source, settings, given_mask, given_landmarks, model, own, given, depth, behind)
        if folder:
            _publish(folder, run, avatar, excerpt, extras, export or ExportOptions())
    return avatar


def _check_together(start: StageName | None, kept: bool, observed: bool, fitted: bool, deep: bool) -> None:
    """Raise CarveError if arguments do not go together: where to start, and whether there are a folder, a mask or landmarks, a body, a
    depth model."""
    if start not in (None, "observe") and observed:
        raise CarveError("A mask or landmarks are read by the stage 'observe'; use --from observe with them.")
    if start is not None and not kept:
        raise CarveError("Starting from a later stage needs the output folder of an earlier run.")
    if fitted and deep:
        raise CarveError("A depth model is there to fit the body, which is given: leave one of the two out.")


def _publish(
    folder: RunFolder, run: StageRunner, avatar: Avatar, excerpt: Excerpt | None, extras: Sequence[Extra], export: ExportOptions
) -> None:
    """Write all outputs; they appear together, the report last."""
    with folder.publishing() as files:
        begin = time.perf_counter()
        write_outputs(files, avatar, extras, excerpt)
        avatar.report["warnings"] += write_avatar(files, avatar, export)
        avatar.report["seconds"]["outputs"] = round(time.perf_counter() - begin, 3)
        avatar.report["peak_memory_mib"]["whole"] = run.peak_so_far()
        write_report(files, avatar.report)


def run_stages(
    run: StageRunner,
    photo: Photo,
    settings: Settings,
    mask: np.ndarray | None,
    landmarks: Landmarks | None,
    model: Deferred,
    own: Deferred | None = None,
    given: Deferred | None = None,
    depth: Deferred | None = None,
    behind: Photo | None = None,
) -> tuple[Avatar, Excerpt | None]:
    """The stages in their order. `run` skips those whose kept record still fits.

    Of a large photo the stages after the first see the person's excerpt only, whose pixels are then the avatar's; it comes second.
    """
    report: dict[str, Any] = {}
    network = Deferred(identity("normals"), load_normals_net)
    detail = Deferred(identity("detail"), load_detail_net) if ships("detail") else None
    large, wanted = large_photo(photo, mask), with_installed(settings.observe)
    observation, excerpt = _observed(run, photo, wanted, mask, landmarks) if large is None else _framed(run, large, wanted, landmarks)
    seen_behind = None if behind is None else _observed_behind(run, behind, wanted)
    close_graphs()  # no later stage asks the detectors
    own = own if own is None or excerpt is None else own_normals_in(own, excerpt)
    body = (
        _fitted(run, observation, settings, model, network, depth)
        if given is None
        else run("fit_face", BodyFit, _known, observation, given)
    )
    normals = run("normals", NormalMaps, predict_normals, observation, body, network, settings.normals, own, detail)
    seen, normals = _dressed(run, with_mask(observation, normals), body, normals, settings.worn)
    if learned_surface(settings.preset):
        implicit = Deferred(identity("implicit"), load_implicit_net)
        canonical = run("canonical", CanonicalSurface, build_clothed, seen, body, normals, implicit, settings.clothed)
    else:
        canonical = run("canonical", CanonicalSurface, build_canonical, seen, body, settings.canonical)
    on_field = settings.refine.method == "field" and settings.refine.start in ("hypernetwork", "body")
    hyper = Deferred(identity("hyper"), load_hyper_net) if on_field else None
    posed = run("refine", PosedSurface, refine, seen, body, canonical, normals, settings.refine, hyper)
    shading = Deferred(identity("shading"), load_shading_net) if settings.texture.delight == "auto" else None
    back = None
    if seen_behind is not None:
        back = run("back", BackView, register_back, seen_behind, body, posed, model, network, BackParams.of(settings))
    textured = run("texture", TexturedSurface, bake_texture, seen, posed, settings.texture, body, normals, shading, back)
    avatar = run("rig", Avatar, rig, seen, body, normals, textured, settings.rig, Deferred("report", lambda: report))
    return dataclasses.replace(avatar, report=_report(run, avatar, settings, excerpt)), excerpt


def _fitted(
    run: StageRunner, observation: Observation, settings: Settings, model: Deferred, network: Deferred, depth: Deferred | None
) -> BodyFit:
    """The body as the photo shows it: fitted to landmarks, to the evidence (its depth perhaps a user's model's), to the face."""
    first = run("fit_body", BodyFit, fit_body, observation, model, settings.fit_body)
    evidence = run("evidence", NormalMaps, predict_evidence, observation, first, network, settings.normals, depth)
    leaning = run("refit_body", BodyFit, refit_body, observation, first, evidence, model, settings.fit_body)
    body = run("fit_face", BodyFit, fit_face, observation, leaning, model, settings.fit_face)
    run.forget("evidence")
    return body


def _dressed(run: StageRunner, seen: Observation, body: BodyFit, normals: NormalMaps, params: WornParams) -> tuple[Observation, NormalMaps]:
    """The observation and the maps that the surface is made from: without what the avatar is to do without."""
    if not params.off:
        return run.derive("seen", seen, "observe", "normals"), normals
    sources, by = ("observe", "fit_face", "normals"), f"without {params.off}"
    without, maps = take_off(seen, body, normals, params)
    return run.derive("seen", without, *sources, by=by), run.derive("worn", maps, *sources, by=by)


def _known(observation: Observation, body: BodyFit) -> BodyFit:
    """A body that the caller knows, if it is of a camera of this photo."""
    if (body.camera.width, body.camera.height) != observation.photo.size:
        raise CarveError(
            "The given body is of another picture's camera, or the photo is too large (over 12 megapixels) to be given a body."
        )
    return body


def _observed(
    run: StageRunner, photo: Photo, params: ObserveParams, mask: np.ndarray | None, landmarks: Landmarks | None
) -> tuple[Observation, Excerpt | None]:
    """The person of a photo that is worked on as it is."""
    run.give("photo", photo)
    observation = run("observe", Observation, observe, photo, params, mask, landmarks)
    run.export("landmarks.json", landmark_document(observation.landmarks))
    return observation, None


def _framed(run: StageRunner, large: LargePhoto, params: ObserveParams, landmarks: Landmarks | None) -> tuple[Observation, Excerpt]:
    """The person of a large photo: looked for in the smaller copy, in whose pixels all is given, and cut out of the photo itself."""
    scale = large.overview.scale
    focal = None if params.focal is None else params.focal * scale
    params = dataclasses.replace(params, focal=focal, smallest_person=max(round(params.smallest_person * scale), 1))
    run.give("photo", large.small)
    given = None if landmarks is None else into_overview(landmarks, large.overview)
    found = run("observe", Observation, observe, large.small, params, large.small_mask, given)
    run.export("landmarks.json", landmark_document(moved(found.landmarks, large.overview, None)))
    observation, excerpt = large.framed(found)
    run.derive("framed", observation, "observe")
    run.forget("photo", "observe")
    return observation, excerpt


def _observed_behind(run: StageRunner, photo: Photo, params: ObserveParams) -> Observation:
    """The person of a back photo, which is worked on in a copy of at most 12 megapixels."""
    large = large_photo(photo, None)
    run.give("back_photo", photo if large is None else large.small)
    return run("observe_back", Observation, observe_back, run.known["back_photo"], params)


def _body_model(path: Path | None, progress: Progress, note: Callable[[str], None]) -> Deferred:
    """The body model. Anny is loaded only if the body is fitted; a file at once, so that what is wrong with it is told first."""
    if path is None:
        return Deferred(f"anny {versions()['anny']}, plain", partial(_load_anny, progress, note))
    model = load_smpl(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Deferred(f"{model.name} {digest}", lambda: model)


def _load_anny(progress: Progress, note: Callable[[str], None]) -> Any:
    """The free body model; what its user should know of the cache is told to `note`."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", CacheWarning)
        body = load_anny(progress, anatomy=False)
    for warning in said:
        if issubclass(warning.category, CacheWarning):
            note(str(warning.message))
    return body


def _report(run: StageRunner, avatar: Avatar, settings: Settings, excerpt: Excerpt | None) -> dict[str, Any]:
    """What report.json holds; what the stage `rig` said stands beside it."""
    observation, body = avatar.observation, avatar.body
    width, height = observation.photo.size if excerpt is None else (excerpt.width, excerpt.height)
    index = {bone: i for i, bone in enumerate(body.skeleton.names)}
    given_height = settings.fit_body.height
    doubts = avatar.report.get("doubts", [])
    notes = [preset_note(settings.preset), pose_note(settings.observe, observation)]
    notes += [height_doubt(given_height) if given_height else None]
    notes += [*run.warnings, *observation.notes, *body.notes, *avatar.normals.notes, *avatar.surface.notes]
    notes += [doubt["warning"] for doubt in doubts]
    back: BackView | None = run.known.get("back")
    notes += [] if back is None else back.notes
    trust = math.prod(doubt["trust"] for doubt in doubts)
    return {
        **avatar.report,
        "photo": {"name": observation.photo.name, "width": width, "height": height},
        "settings": as_plain(settings),
        "versions": versions(),
        "seconds": {**run.seconds, "loading": round(run.loading, 3)},
        "peak_memory_mib": {**run.memory, "whole": run.peak_so_far()},
        "kept_stages": list(run.kept),
        "warnings": [note for note in notes if note],
        "people": as_plain([whole_box(box, excerpt) for box in observation.people]),
        "person": observation.person,
        "mask_source": observation.mask_source,
        "normals_source": avatar.normals.source,
        "normals_detailed": avatar.normals.detailed,
        "depth_source": body.depth_source,
        "light": None if avatar.textured.light is None else Light.of(avatar.textured.light).as_json(),
        "back_photo": None if back is None else back_report(back, avatar.textured),
        "focal_source": observation.focal_source,
        "pose_models": list(observation.pose_models),
        "visible_share": float(observation.visible_share),
        "body": {
            "model": body.model,
            "shape": as_plain(body.shape),
            "height": float(body.height),
            "height_source": body.height_source,
            "residuals": as_plain(body.residuals),
        },
        "confidence": {
            "surface": float(np.mean(avatar.confidence)),
            "trust": round(trust, 3),
            "joints": {name: float(trust * body.joint_confidence[index[bone]]) for name, bone in body.skeleton.humanoid.items()},
        },
        "licences": licences(body.model),
    }
