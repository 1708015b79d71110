"""Texture: the photo projected onto what the camera saw, and plausible colours for the rest.

Notation: w weight of the photo at a texel, 0..1; tone: colours averaged over a few centimetres; base: a smooth tone for every vertex,
spread over the surface from where the photo (or its mirror image on the other half of the body) is known; detail: a picture minus its
own tone.

    colour = w photo + (1 - w) (base + detail)

Seen texels keep the photo. Unseen ones take their tone from around the limb, so a jacket closes behind the back in the jacket's colour and
no face appears on the back of the head; fine structure comes from the mirrored half of the body or from the pixel in front, as far as its
tone fits.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from carve.body.anny import EYES
from carve.body.clothes.part_labels import shown_in_front, vertex_labels
from carve.body.head.face_surface import features_on
from carve.body.model import REGIONS
from carve.body.zones import (
    FEET,
    HANDS,
    HEAD,
    MIRRORED,
    face_zone,
)
from carve.geometry.mesh import diffuse, vertex_normals
from carve.geometry.pictures.sampling import sample
from carve.geometry.unwrapping.atlas import Texels, texels, to_image, unwrap
from carve.networks.shading import ShadingNet
from carve.records import LABELS, BackView, BodyFit, CanonicalSurface, NormalMaps, Observation, PosedSurface, TexturedSurface
from carve.stages.texturing.behind import bent, find_behind, in_tones_of, labels_of_both, overlaid
from carve.stages.texturing.face import add_face, own_face, stacked
from carve.stages.texturing.layers import Layer, Mirror, find_layers, find_mirror
from carve.stages.texturing.light import Light, delighted
from carve.stages.texturing.params import Params as Params
from carve.stages.texturing.pattern import Pattern, find_patterns, large_pieces
from carve.stages.texturing.pure_tones import pure_tones
from carve.stages.texturing.shading import unshaded
from carve.stages.texturing.tone import base_colours, skin_tone
from carve.stages.texturing.view import View, facing, find_behind_arms, look, photo_weight
from carve.stages.unseen_feet import shod

FACE_CHART = 2 * len(REGIONS)
"""The label of the face's triangles, beside those of the regions' fronts and backs."""
_BLOCK = 1 << 19
"""Texels that are painted at a time."""


def bake_texture(
    observation: Observation,
    posed: PosedSurface,
    params: Params,
    body: BodyFit | None = None,
    maps: NormalMaps | None = None,
    network: ShadingNet | None = None,
    back: BackView | None = None,
) -> TexturedSurface:
    """Unwrap the surface and colour it from the photo.

    With the body under the surface the face becomes one face (`texturing.face`); with maps that hold labels of front and back, hair,
    skin, shoes and cloth take their colours from their own kind, and end where it ends. `network` tells the photo's light and shadows
    (`texturing.shading`); without one, `delight=auto` is `harmonics`. A photo of the `back` gives what the first one did not see
    (`texturing.behind`).
    """
    surface = posed.canonical
    labels, density = _chart_labels(surface), np.ones(len(surface.faces))
    density[labels == FACE_CHART] = params.face_density
    atlas = unwrap(surface.vertices, surface.faces, labels, params.size, params.padding, density=density)
    grid = texels(atlas, params.size)
    colours, weight, light, share = _coloured(observation, posed, grid, params, body, maps, network, back)
    colours = shod(colours, weight if share is None else np.maximum(weight, share), grid, surface)
    albedo = to_image(np.rint(colours, out=colours).astype(np.uint8), grid, params.gutter)
    seen, behind = (
        None if w is None else to_image(np.round(w * 255).astype(np.uint8), grid, params.gutter)[..., 0] for w in (weight, share)
    )
    assert seen is not None
    given = None if share is None else float(share.mean())
    return TexturedSurface(posed, atlas.corner, atlas.faces, atlas.uv, albedo, seen, light, behind, given)


def _coloured(
    observation: Observation,
    posed: PosedSurface,
    grid: Texels,
    params: Params,
    body: BodyFit | None,
    maps: NormalMaps | None,
    network: ShadingNet | None,
    back: BackView | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Colours (N, 3) 0..255 and photo weights (N, 1) of the texels, float32, the light that was taken out (`TexturedSurface.light`), and
    the back photo's weights (N, 1) if there is one."""
    surface = posed.canonical
    normals = vertex_normals(posed.vertices, surface.faces)
    view = look(observation, posed, normals, grid, params, None if body is None else features_on(surface, body, whole=True))
    kind = None if maps is None or not params.labels else vertex_labels(posed, maps)
    without_light = partial(_without_light, network=network, params=params)
    view, light = without_light(view, normals, kind, surface.faces)
    behind_arms = find_behind_arms(surface)
    seen = photo_weight(view, posed.vertices, normals, behind_arms, params)
    layers = find_layers(view, posed, behind_arms, params)
    mirror = find_mirror(surface, posed, seen, view)
    plain = np.ones(len(normals)) if kind is None or maps is None else shown_in_front(posed, maps, kind)
    behind = find_behind(back, posed, grid, params, without_light)
    if behind is not None:
        behind = in_tones_of(behind, view, posed.vertices, seen, kind)
        kind = None if kind is None else labels_of_both(behind, seen, kind)
    pure = None if kind is None else pure_tones(view, posed, kind, params)
    base = base_colours(surface, view, layers, seen, mirror, posed.vertices, params, kind, pure)
    base = base if behind is None else bent(base, behind, seen, kind)
    features = np.zeros(len(surface.vertices)) if body is None else features_on(surface, body)
    patterns = find_patterns(view, posed, kind, params) if params.patterns and kind is not None else {}
    pieces = np.zeros(len(normals), np.uint8) if kind is None or not patterns else large_pieces(kind, surface.faces)
    marks = (behind_arms, features, plain, pieces)
    colours, weight = _paint(view, posed, normals, marks, grid, layers, mirror, base, patterns, params)
    if body is not None:
        skin = skin_tone(surface, view, layers[HEAD], seen, base, posed.vertices)
        face = own_face(observation, posed, body, view, layers[HEAD], seen, skin, params)
        if face is not None:
            told = stacked(face)
            rows = np.flatnonzero((told != 0).any(1)[surface.faces].any(1)[grid.face])
            mixed = grid.part(rows).interpolate(np.column_stack([told, surface.vertices]), surface.faces)
            eyes = np.array([surface.skeleton.heads[surface.skeleton.names.index(name)] for name in EYES])
            colours[rows], weight[rows] = add_face(colours[rows], weight[rows], mixed[:, :11], mixed[:, 11:], view.picture, eyes)
    share = None if back is None else np.zeros_like(weight)
    if behind is not None:
        colours, share = overlaid(behind, surface, grid, colours, weight, params)
        weight = weight * (1 - share)
    return colours, weight, None if light is None else light.stored, share


def _without_light(
    view: View, normals: np.ndarray, labels: np.ndarray | None, faces: np.ndarray, network: ShadingNet | None, params: Params
) -> tuple[View, Light | None]:
    """The view without the photo's light, and that; normals (V, 3) and labels (V,) are the surface's."""
    raster = view.raster
    shown = np.where(raster.mask[..., None], raster.interpolate(normals, faces), 0)
    label = None
    if labels is not None:
        nearest = faces[np.maximum(raster.face, 0), raster.bary.argmax(-1)]
        label = np.where(raster.mask, labels[nearest], 0).astype(np.uint8)
    if params.delight == "auto" and network is not None:
        skin = None if label is None else label == LABELS.index("skin")
        picture, light = unshaded(view.picture, shown, view.valid > 0.9, network, skin=skin)
    elif params.delight != "off" and label is not None:
        picture, light = delighted(view.picture, shown, label, view.valid > 0.9)
    else:
        return view, None
    return replace(view, picture=picture), light


def _for_features(params: Params) -> Params:
    """The settings for the features of a fitted face."""
    return replace(params, grazing_degrees=(80.0, 89.0), depth_tolerance=0.02)


def _chart_labels(surface: CanonicalSurface) -> np.ndarray:
    """(F,) label of each triangle: its region, front or back (above or below for hands and feet), or the face's own."""
    smooth = diffuse(vertex_normals(surface.vertices, surface.faces), surface.faces, 20)
    region = surface.region[surface.faces[:, 0]].astype(np.int64)
    axis = np.where(np.isin(region, HANDS + FEET), 1, 2)
    facing = smooth[surface.faces].mean(1)[np.arange(len(region)), axis] > 0
    labels = 2 * region + facing
    labels[face_zone(surface)[surface.faces].all(1) & facing] = FACE_CHART
    return labels


def _paint(
    view: View,
    posed: PosedSurface,
    normals: np.ndarray,
    marks: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    grid: Texels,
    layers: list[Layer],
    mirror: Mirror,
    base: np.ndarray,
    patterns: dict[int, Pattern],
    params: Params,
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (N, 3) and photo weights (N, 1) of the texels. `marks`: (V,) what lies behind arms, the face's features, what has its
    like before it, the label."""
    surface, (behind_arms, *rest, kind) = posed.canonical, marks
    per_vertex = np.concatenate([posed.vertices, normals, base, mirror.pixels, mirror.weight[:, None], np.stack(rest, 1)], axis=1)
    canonical = np.concatenate([surface.vertices, vertex_normals(surface.vertices, surface.faces)], axis=1)
    # Some millions of texels with all that is asked of them: block by block, so that the arrays stay small.
    blocks = [grid.part(slice(start, start + _BLOCK)) for start in range(0, len(grid.index), _BLOCK)]
    painted = []
    for block in blocks:
        colours, weight, missing = _paint_block(view, surface, per_vertex, behind_arms, block, layers, params)
        if patterns:
            label = kind[surface.faces[block.face, block.bary.argmax(1)]]
            for name, pattern in patterns.items():
                rows = np.flatnonzero((label == name) & (missing > 0.01))
                place = block.part(rows).interpolate(canonical, surface.faces)
                colours[rows] = np.clip(colours[rows] + missing[rows, None] * pattern.at(place[:, :3], place[:, 3:]), 0, 255)
        painted.append((colours, weight))
    colours, weight = (np.concatenate([pair[k] for pair in painted]) for k in range(2))
    return colours, weight


def _paint_block(
    view: View,
    surface: CanonicalSurface,
    per_vertex: np.ndarray,
    behind_arms: np.ndarray,
    grid: Texels,
    layers: list[Layer],
    params: Params,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of some texels, and how far each (N,) lacks detail; `per_vertex` (V, 15) places, normals, tones, the mirror's pixels and
    weight, the other marks."""
    mixed = grid.interpolate(per_vertex, surface.faces)
    points, normal, tones, counterpart = mixed[:, :3], mixed[:, 3:6], mixed[:, 6:10], mixed[:, 10:13]
    weight = photo_weight(view, points, normal, behind_arms[surface.faces[grid.face, 0]], params)[:, None]
    # The rims of lips and lids of a fitted face are where the photo has them, however they are turned.
    inner = np.flatnonzero(mixed[:, 13] > 0)
    if len(inner):
        sure = photo_weight(view, points[inner], normal[inner], np.zeros(len(inner), bool), _for_features(params))
        weight[inner, 0] = np.maximum(weight[inner, 0], mixed[inner, 13] * sure)
    pixels = view.camera.project(points)
    squarely = mixed[:, 14:] * np.clip(np.abs(facing(points, normal))[:, None] / 0.5, 0, 1) ** 2
    region = surface.region[surface.faces[grid.face, 0]]
    colours = tones[:, :3].copy()
    unseen, copied = weight[:, 0] < 0.999, np.zeros(len(pixels), np.float32)
    for k, layer in enumerate(layers):
        member = np.flatnonzero((region == k) & unseen)
        if len(member) == 0:
            continue
        mirrored = counterpart[member, 2:]
        detail = mirrored * layers[MIRRORED[k]].detail(counterpart[member, :2], tones[member], params.contrast)
        if k != HEAD:
            detail += (1 - mirrored) * squarely[member] * layer.detail(pixels[member], tones[member], params.contrast)
        colours[member] += detail[:, :3]
        copied[member] = detail[:, 3]
    photo = sample(view.picture, pixels)
    mixed_colours = np.clip(weight * photo + (1 - weight) * colours, 0, 255).astype(np.float32)
    return mixed_colours, weight.astype(np.float32), (1 - weight[:, 0]) * (1 - copied)
