"""Normal maps of the clothed person from the photo: a network's, on a square crop around the person.

The network is asked about the crop and about its mirror image, and both answers are averaged. Given no body it says what the photo alone
tells; given one, what the clothes change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import torch
from pydantic import Field

from carve.body.clothes.part_labels import without_patches
from carve.bounds import Degrees, Share
from carve.geometry.pictures.window import Window
from carve.geometry.relief.normal_maps import front_and_back
from carve.networks.detail import DetailNet
from carve.networks.normals import VARIANCE_OF_SCALE, NormalsNet, NormalsOutput
from carve.records import LABELS, BodyFit, CarveError, NormalMaps, Observation
from carve.stages.predicting.garment_borders import borders_of_the_photo
from carve.stages.predicting.garment_pieces import one_label_each
from carve.stages.predicting.normal_detail import with_detail
from carve.stages.predicting.own_depth import OwnDepth, with_own_depth
from carve.stages.predicting.relief import SIGMA, plainness, restore_relief
from carve.stages.predicting.stray_pieces import strays_renamed

_CLOTH = [LABELS.index(name) for name in ("top", "outer", "bottom", "dress")]


@dataclass(frozen=True)
class Params:
    """Settings of the stage."""

    fill: Annotated[float, Field(ge=0.3, le=1)] = 0.86
    """Share of the crop that the person's longer side takes."""
    size: Literal[256, 512, 768] = 512
    """Side of the crop that the network is given, pixels."""
    mirror: bool = True
    """Whether the mirrored crop is asked about too."""
    refine_mask: bool = True
    """Whether a detected mask is averaged with the network's, since they err in different places; a mask that was given stays."""
    detail: bool = True
    """Whether the front's detail is corrected from the photo at its own resolution, where weights for that ship."""
    relief: Annotated[float, Field(ge=0, le=4)] = 2.0
    """Gain of the folds of cloth that the network shows, which are flatter than true ones; 1 leaves them."""
    body_relief: Share = 0.6
    """Share of the naked body's relief that stays in cloth."""
    one_label: bool = True
    """Whether labels that touch where the photo shows no border become one garment's."""
    borders: bool = True
    """Whether the labels' borders move to where the photo's colours change, and stray pieces become what they look like."""
    own_sigma_degrees: Degrees = 5.0
    """Expected error of normals that the user brings, degrees."""


@dataclass(frozen=True)
class OwnNormals:
    """Normals that the user brings in place of the network's: maps, or a model to be asked."""

    front: np.ndarray | None = None
    """(H, W, 3) float32 unit normals of the photo's size, camera frame, zero where there are none."""
    back: np.ndarray | None = None
    """(H, W, 3) of the farthest surface."""
    model: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray | None]] | None = None
    """Takes a square crop (S, S, 3) uint8, coverage (S, S), the body's front and back normals (S, S, 3); gives front and back (S, S, 3)."""
    side: int = 512
    """S."""


def predict_normals(
    observation: Observation,
    body: BodyFit | None,
    network: NormalsNet,
    params: Params,
    own: OwnNormals | None = None,
    detail: DetailNet | None = None,
) -> NormalMaps:
    """Front and back normals, their doubt, the person's mask and relative depth, at the photo's full size.

    `body` is the fitted body; None asks what the photo alone tells. `own` replaces the network's normals where it holds some. With a
    network for the detail the front is corrected by it, if the person is tall enough in the photo (`NormalMaps.detailed`).
    """
    maps = _ask(observation, (body,), network, params, relief=body)
    if detail is not None and params.detail:  # it has learned to correct flat folds, too
        finer = with_detail(observation, _ask(observation, (body,), network, params), detail)
        if finer.detailed:
            maps = replace(maps, front=finer.front, log_variance=finer.log_variance, detailed=True)
    if params.one_label and maps.label is not None and maps.label_back is not None:
        labels = one_label_each(
            observation.photo.pixels, without_patches(maps.label), without_patches(maps.label_back), observation.landmarks
        )
        maps = replace(maps, label=labels[0], label_back=labels[1])
    if params.borders and maps.label is not None and maps.label_back is not None:
        labels = borders_of_the_photo(observation.photo.pixels, maps.label, maps.label_back)
        labels = strays_renamed(observation.photo.pixels, *labels)
        maps = replace(maps, label=labels[0], label_back=labels[1])
    if own is not None and own.model is not None:
        front, back = _ask_model(observation, body, own, params)
        maps = _replaced(_replaced(maps, "front", front, "model", params), "back", back, "model", params)
    if own is not None:
        maps = _replaced(_replaced(maps, "front", own.front, "file", params), "back", own.back, "file", params)
    return maps


def predict_evidence(
    observation: Observation, first: BodyFit, network: NormalsNet, params: Params, own: OwnDepth | None = None
) -> NormalMaps:
    """What a second fit of the body goes by: the mean of what the photo alone tells and of what the network says with the first fit.

    Alone they err in different places: the photo tells little of depth, the first fit is believed too much. `own` gives the depth in place
    of the network, if its answer goes with the first fit.
    """
    maps = _ask(observation, (None, first), network, params)
    return maps if own is None else with_own_depth(maps, _ask_depth(observation, own, params), first, own)


def with_mask(observation: Observation, maps: NormalMaps) -> Observation:
    """The observation with the mask that the maps refined."""
    if maps.coverage is None or observation.mask_source != "detector" or np.array_equal(maps.coverage, observation.mask):
        return observation
    return replace(observation, mask=maps.coverage, mask_source="network")


def _ask(
    observation: Observation, bodies: tuple[BodyFit | None, ...], network: NormalsNet, params: Params, relief: BodyFit | None = None
) -> NormalMaps:
    """What our network says: the mean over one or two bodies; the relief of cloth restored against that of a body, if one is given."""
    height, width = observation.mask.shape
    window = person_window(observation.mask, params.fill, params.size)
    image = torch.from_numpy(window.cut(observation.photo.pixels).transpose(2, 0, 1).astype(np.float32) / 255)[None]
    # Nothing is known beyond the picture: the mask ends there.
    cut = window.cut(observation.mask.astype(np.float32)) * window.within(width, height)
    mask = torch.from_numpy(cut)[None, None]
    answers = []
    with torch.inference_mode():
        for body in bodies:
            known = _body_maps(body, window)
            answers.append(network(image, mask, *known))
            if params.mirror:
                answers[-1] = _mean(answers[-1], mirrored(network(image.flip(3), mask.flip(3), *(_mirror(n) for n in known))))
    out = reduce(_mean, answers)
    logit = window.paste(out.mask_logit[0, 0].numpy() + 20, width, height) - 20
    kept = not params.refine_mask or observation.mask_source != "detector"
    found = cut if kept else (cut + out.mask_logit.sigmoid()[0, 0].numpy()) / 2
    coverage = observation.mask if kept else ((observation.mask + 1 / (1 + np.exp(-logit))) / 2).astype(np.float32)
    shown = coverage > 0.5

    def full(values: np.ndarray, outside: float = 0.0) -> np.ndarray:
        return np.where(shown, window.paste(values, width, height), outside)

    def normals(values: np.ndarray) -> np.ndarray:
        image = _spread(values, found)
        pasted = window.paste(image, width, height)
        length = np.linalg.norm(pasted, axis=-1, keepdims=True)
        return np.where(shown[..., None], pasted / np.maximum(length, 1e-6), 0).astype(np.float16)

    doubt = [2 * scale[0, 0].numpy() + VARIANCE_OF_SCALE for scale in (out.log_scale_front, out.log_scale_back)]
    spread = 2 * out.depth_log_scale[0, 0].numpy() + np.log(2) + 2 * np.log(window.side)
    front, back = _with_relief(out, relief, window, found, image, params)
    return NormalMaps(
        front=normals(front),
        back=normals(back),
        log_variance=full(doubt[0]).astype(np.float16),
        mask=shown,
        log_variance_back=full(doubt[1]).astype(np.float16),
        coverage=coverage,
        depth=full(out.depth[0, 0].numpy() * window.side).astype(np.float32),
        depth_log_variance=full(spread).astype(np.float32),
        source="network",
        depth_source="network",
        **_labels(out, window, shown),
    )


def _with_relief(
    out: NormalsOutput, body: BodyFit | None, window: Window, coverage: np.ndarray, image: torch.Tensor, params: Params
) -> tuple[np.ndarray, np.ndarray]:
    """Front and back normals (S, S, 3) of an answer; with a body, and labels that say where cloth is, its relief restored."""
    front, back = (side[0].permute(1, 2, 0).numpy() for side in (out.front, out.back))
    if body is None or out.label_front is None or out.label_back is None or (params.relief, params.body_relief) == (1, 1):
        return front, back
    sigma = SIGMA * body.camera.focal * window.scale / -float(np.median(body.posed[:, 2]))
    picture = np.rint(255 * image[0].permute(1, 2, 0).numpy()).astype(np.uint8)
    gain = 1 + (params.relief - 1) * plainness(picture, coverage > 0.5, sigma)
    sides = zip((front, back), _body_in(body, window), (out.label_front, out.label_back), strict=True)
    return tuple(  # type: ignore[return-value]
        restore_relief(seen, naked, coverage > 0.5, logits[0].softmax(0)[_CLOTH].sum(0).numpy(), sigma, gain, params.body_relief)
        for seen, naked, logits in sides
    )


def _labels(out: NormalsOutput, window: Window, shown: np.ndarray) -> dict[str, Any]:
    """The label maps of NormalMaps, if the network's weights have learned labels, at the photo's full size."""
    height, width = shown.shape
    found = {}
    for name, logits in (("label", out.label_front), ("label_back", out.label_back)):
        if logits is not None:
            # Inside the mask something is shown: the background, label 0, is no answer there.
            index = (1 + logits[0, 1:].argmax(0)).numpy().astype(np.uint8)
            found[name] = np.where(shown, window.paste(index, width, height, nearest=True), 0).astype(np.uint8)
    return found


def person_window(mask: np.ndarray, fill: float, size: int) -> Window:
    """The square of `size` pixels around a person's mask (H, W), whose longer side takes a share of `fill`."""
    shown = mask > 0.5
    if not shown.any():
        raise CarveError("The person's mask is empty; give one with --mask.")
    return Window.around(shown, fill, size)


def _body_maps(body: BodyFit | None, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 3, S/2, S/2) front and back normals of the body in the window, zero without one."""
    half = Window(window.left, window.top, window.side, window.size // 2)
    front, back = (torch.from_numpy(np.ascontiguousarray(n.transpose(2, 0, 1)))[None] for n in _body_in(body, half))
    return front, back


def _body_in(body: BodyFit | None, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Front and back normals (S, S, 3) of the body in a window of S pixels, zero without a body."""
    if body is None:
        return np.zeros((window.size, window.size, 3), np.float32), np.zeros((window.size, window.size, 3), np.float32)
    camera = body.camera.cropped(window.left, window.top, window.size, window.size, window.scale)
    return front_and_back(body.posed, body.faces, camera)


def _ask_model(observation: Observation, body: BodyFit | None, own: OwnNormals, params: Params) -> tuple[np.ndarray, np.ndarray | None]:
    """Front and back normals (H, W, 3) of the user's model, at the photo's full size."""
    assert own.model is not None
    height, width = observation.mask.shape
    window = person_window(observation.mask, params.fill, own.side)
    crop, coverage = window.cut(observation.photo.pixels), window.cut(observation.mask.astype(np.float32)) * window.within(width, height)
    found = own.model(crop, coverage, *_body_in(body, window))
    front, back = (None if n is None else window.paste(_spread(n, (n != 0).any(-1)), width, height) for n in found)
    assert front is not None
    return front, back


def _ask_depth(observation: Observation, own: OwnDepth, params: Params) -> np.ndarray:
    """(H, W) float32 what the user's depth model says, in its own unit, at the photo's full size."""
    height, width = observation.mask.shape
    window = person_window(observation.mask, params.fill, own.side)
    coverage = window.cut(observation.mask.astype(np.float32)) * window.within(width, height)
    answer = own.model(window.cut(observation.photo.pixels), coverage)
    return window.paste(_spread(answer[..., None], coverage)[..., 0], width, height)


def _replaced(maps: NormalMaps, side: Literal["front", "back"], normals: np.ndarray | None, source: str, params: Params) -> NormalMaps:
    """The maps with other normals (H, W, 3) on one side, where there are some inside the mask."""
    if normals is None:
        return maps
    length = np.linalg.norm(normals, axis=-1)
    there = maps.mask & (length > 0.5)
    doubt = "log_variance" if side == "front" else "log_variance_back"
    before = getattr(maps, doubt)
    variance = np.zeros(maps.mask.shape, np.float16) if before is None else before.copy()
    variance[there] = 2 * np.log(np.radians(params.own_sigma_degrees))
    image = getattr(maps, side).copy()
    image[there] = (normals[there] / length[there][:, None]).astype(np.float16)
    return replace(maps, **{side: image, doubt: variance, "source": source})


def _mirror(normals: torch.Tensor) -> torch.Tensor:
    """Normal maps, or places, (B, 3, S, S) of the mirrored picture."""
    return normals.flip(3) * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]


def mirrored(out: NormalsOutput) -> NormalsOutput:
    """What the network said of a mirrored crop, mirrored back."""
    return NormalsOutput(
        front=_mirror(out.front),
        back=_mirror(out.back),
        log_scale_front=out.log_scale_front.flip(3),
        log_scale_back=out.log_scale_back.flip(3),
        mask_logit=out.mask_logit.flip(3),
        depth=out.depth.flip(3),
        depth_log_scale=out.depth_log_scale.flip(3),
        label_front=None if out.label_front is None else out.label_front.flip(3),
        label_back=None if out.label_back is None else out.label_back.flip(3),
        place=None if out.place is None else _mirror(out.place),
        place_log_scale=None if out.place_log_scale is None else out.place_log_scale.flip(3),
    )


def _mean(a: NormalsOutput, b: NormalsOutput) -> NormalsOutput:
    """The mean of two answers, of normals made unit again."""
    told = [name for name in a.__dataclass_fields__ if getattr(a, name) is not None]
    middle = {name: (getattr(a, name) + getattr(b, name)) / 2 for name in told}
    for side in ("front", "back"):
        middle[side] = torch.nn.functional.normalize(middle[side], dim=1)
    return NormalsOutput(**middle)


def _spread(image: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Values (S, S, C) of covered pixels continued outward by some pixels, so that resizing mixes no background into the outline.

    Farther out values stay as they are: a mask that was given may have parts too thin for the crop.
    """
    weight = (coverage > 0.5).astype(np.float32)
    near, mass = cv2.blur(image * weight[..., None], (7, 7)).reshape(image.shape), cv2.blur(weight, (7, 7))
    return np.where(((weight > 0) | (mass <= 0))[..., None], image, near / np.maximum(mass, 1e-6)[..., None]).astype(np.float32)
