"""The texture stage on a figure of capsules whose colours are known everywhere, photographed by our own rasteriser."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from capsule_figure import Colour, Scene, capsule_surface, distances, photograph
from carve.body.model import REGIONS
from carve.body.zones import HANDS, HEAD, LOWER_ARMS, TORSO, above_nape, face_zone
from carve.geometry.raster import rasterise
from carve.geometry.unwrapping.atlas import Atlas, texels, unwrap
from carve.records import CanonicalSurface
from carve.stages.texture import bake_texture
from carve.stages.unseen_feet import SHOE


@pytest.fixture(scope="module")
def canonical() -> CanonicalSurface:
    return capsule_surface()


@pytest.fixture(scope="module", autouse=True)
def unwrapped_once(canonical: CanonicalSurface) -> Iterator[None]:
    """All these photos are of one surface; its charts are kept."""
    atlases: list[Atlas] = []

    def kept(vertices: np.ndarray, *given: Any, **named: Any) -> Atlas:
        assert vertices is canonical.vertices
        if not atlases:
            atlases.append(unwrap(vertices, *given, **named))
        return atlases[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("carve.stages.texture.unwrap", kept)
        yield


def waves(points: np.ndarray) -> np.ndarray:
    """Smooth colours with detail, the same on both halves of the body, never as blue as the background."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    return np.stack([130 + 60 * np.sin(9 * y), 120 + 40 * np.cos(7 * x + 5 * y) + 30 * np.sin(40 * z), 30 + 20 * np.sin(20 * x)], 1)


@pytest.fixture(scope="module")
def front(canonical: CanonicalSurface) -> Scene:
    return photograph(canonical, waves)


@pytest.fixture(scope="module")
def half_turned(canonical: CanonicalSurface) -> Scene:
    return photograph(canonical, waves, yaw=35)


def test_the_texture_belongs_to_the_surface(front: Scene) -> None:
    baked, surface = front.baked, front.posed.canonical
    assert np.array_equal(baked.corner[baked.faces], surface.faces)
    assert baked.albedo.shape == (512, 512, 3) and baked.albedo.dtype == np.uint8
    assert baked.seen.shape == (512, 512) and baked.seen.dtype == np.uint8
    assert baked.uv.min() >= 0 and baked.uv.max() <= 1


@pytest.mark.parametrize("name", ["front", "half_turned"])
def test_seen_texels_have_the_photos_colour(name: str, request: pytest.FixtureRequest) -> None:
    points, _, _, colour, seen = request.getfixturevalue(name).texels()
    sure = seen == 255
    assert sure.mean() > 0.2
    error = np.abs(colour - waves(points))[sure].max(1)
    # Two resamplings of 8-bit colours with detail of 16 cm wave length: a few grey levels.
    assert np.percentile(error, 99) < 4 and error.max() < 15


@pytest.mark.parametrize("name", ["front", "half_turned"])
def test_no_background_gets_into_the_texture(name: str, request: pytest.FixtureRequest) -> None:
    scene = request.getfixturevalue(name)
    blue = scene.texels()[3][:, 2]
    assert blue.max() < 60
    assert scene.baked.albedo[..., 2].max() < 60


def test_seen_says_what_the_camera_saw(half_turned: Scene) -> None:
    _, points, normals, _, seen = half_turned.texels()
    camera, surface = half_turned.posed.camera, half_turned.posed.canonical
    facing = -np.einsum("ni,ni->n", points, normals) / np.linalg.norm(points, axis=1) / np.linalg.norm(normals, axis=1)
    assert (seen[facing < 0.05] == 0).all()
    raster = rasterise(half_turned.posed.vertices, surface.faces, camera)
    column, row = np.floor(camera.project(points)).astype(int).T
    behind = -points[:, 2] - raster.depth[row.clip(0, 899), column.clip(0, 899)]
    assert (seen[np.isfinite(behind) & (behind > 0.03)] == 0).all()
    # In plain sight: turned to the camera, in front, and well inside the outline and any edge.
    depth = np.where(raster.mask, raster.depth, 1e3)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(depth, 12, mode="edge"), (25, 25))
    plain = np.ptp(windows[row, column].reshape(len(row), -1), axis=1) < 0.1
    assert (seen[plain & (facing > 0.6) & (np.abs(behind) < 0.003)] == 255).mean() > 0.98


def test_the_hidden_side_mirrors_the_seen_one(half_turned: Scene) -> None:
    points, _, _, colour, seen = half_turned.texels()
    region = distances(points)[1]
    # Turned to his left, he hides his right flank; the left one shows the same colours.
    hidden = (seen == 0) & (points[:, 2] > -0.02) & np.isin(region, [TORSO, REGIONS.index("right_upper_leg")])
    assert hidden.sum() > 500
    error = np.abs(colour - waves(points))[hidden].max(1)
    assert np.median(error) < 12


def test_bands_go_around_the_body(canonical: CanonicalSurface) -> None:
    def bands(points: np.ndarray) -> np.ndarray:
        shirt = (points[:, 1] > 1.1)[:, None]
        return np.where(shirt, [200, 60, 40], [60, 90, 30]).astype(float)

    points, _, _, colour, _ = photograph(canonical, bands).texels()
    back = (points[:, 2] < -0.05) & (distances(points)[1] == TORSO) & (np.abs(points[:, 1] - 1.1) > 0.05)
    assert back.sum() > 500
    assert np.percentile(np.abs(colour - bands(points))[back].max(1), 95) < 25


def test_a_stripe_down_the_front_does_not_reach_the_back(canonical: CanonicalSurface) -> None:
    def open_coat(points: np.ndarray) -> np.ndarray:
        shirt = (np.abs(points[:, 0]) < 0.04) & (points[:, 2] > 0) & (points[:, 1] < 1.4)
        return np.where(shirt[:, None], [240, 240, 50], [70, 60, 40]).astype(float)

    points, _, _, colour, _ = photograph(canonical, open_coat).texels()
    back = (points[:, 2] < -0.1) & (distances(points)[1] == TORSO) & (points[:, 1] > 0.95)
    assert np.abs(colour - [70, 60, 40])[back].max() < 30


def portrait(canonical: CanonicalSurface, long_hair: bool = False) -> Colour:
    """Ruddy skin on face, neck and hands, dark hair, green clothes; long hair falls down beside the neck."""
    eyes = np.array([0.0, 1.64, 0.0])

    def colour(points: np.ndarray) -> np.ndarray:
        region = distances(points)[1]
        offset = points - eyes
        face = (region == HEAD) & (points[:, 2] > 0.03) & (offset[:, 1] < 0.07)
        neck = (region == HEAD) & (offset[:, 1] < -0.065)
        falling = neck & (np.abs(points[:, 0]) > 0.04) & long_hair
        skin = (face & ~falling) | (neck & ~falling) | np.isin(region, HANDS)
        out = np.tile([70.0, 100.0, 60.0], (len(points), 1))
        out[region == HEAD] = [40, 30, 20]
        out[skin] = [210, 150, 50]
        return out

    assert face_zone(canonical).any() and above_nape(canonical).any()
    return colour


@pytest.fixture(scope="module")
def portrayed(canonical: CanonicalSurface) -> Scene:
    return photograph(canonical, portrait(canonical))


def test_there_is_no_face_on_the_back_of_the_head(portrayed: Scene) -> None:
    points, _, _, colour, _ = portrayed.texels()
    back = (distances(points)[1] == HEAD) & (points[:, 2] < -0.04) & (points[:, 1] > 1.62)
    assert back.sum() > 200
    assert np.abs(colour - [40, 30, 20])[back].max() < 40


@pytest.mark.parametrize("long_hair", [False, True])
def test_long_hair_covers_the_nape(canonical: CanonicalSurface, portrayed: Scene, long_hair: bool) -> None:
    scene = photograph(canonical, portrait(canonical, long_hair)) if long_hair else portrayed
    points, _, _, colour, _ = scene.texels()
    nape = (distances(points)[1] == HEAD) & (points[:, 2] < -0.04) & (np.abs(points[:, 1] - 1.54) < 0.015)
    assert nape.sum() > 30
    hair = np.linalg.norm(colour - [40, 30, 20], axis=1) < np.linalg.norm(colour - [210, 150, 50], axis=1)
    assert hair[nape].mean() > 0.9 if long_hair else hair[nape].mean() < 0.3


def test_from_behind_the_face_becomes_skin_not_hair(canonical: CanonicalSurface) -> None:
    points, _, _, colour, seen = photograph(canonical, portrait(canonical), yaw=180).texels()
    face = (distances(points)[1] == HEAD) & (points[:, 2] > 0.07) & (np.abs(points[:, 1] - 1.61) < 0.06)
    assert face.sum() > 50 and (seen[face] == 0).all()
    assert np.abs(np.median(colour[face], axis=0) - [210, 150, 50]).max() < 20


def test_an_arm_that_the_surface_lacks_is_not_printed_on_the_trunk(canonical: CanonicalSurface) -> None:
    def drawn(points: np.ndarray) -> np.ndarray:
        """Blue-green clothes; before the trunk, skin where the photo has a forearm."""
        out = np.tile([60.0, 110.0, 40.0], (len(points), 1))
        region = distances(points)[1]
        arm = (np.abs(points[:, 0] + 0.02) < 0.035) & (points[:, 2] > 0) & (np.abs(points[:, 1] - 1.15) < 0.13) & (region == TORSO)
        out[arm | np.isin(region, [*HANDS, *LOWER_ARMS])] = [210, 150, 50]
        return out

    def skin_on_trunk(landmarks: dict[str, tuple[float, float, float]]) -> tuple[float, float]:
        points, _, _, colour, seen = photograph(canonical, drawn, yaw=-30, landmarks=landmarks).texels()
        trunk = (distances(points)[1] == TORSO) & (np.abs(points[:, 1] - 1.15) < 0.2)
        return float(np.mean(colour[trunk, 0] > 130)), float(np.mean(seen[trunk] == 255))

    skin, seen = skin_on_trunk({})
    skin_marked, seen_marked = skin_on_trunk({"left_elbow": (-0.02, 1.28, 0.16), "left_wrist": (-0.02, 1.02, 0.16)})
    assert skin > 0.03 and skin_marked < 0.1 * skin
    # Only the arm itself is left out.
    assert 0.5 * seen < seen_marked < seen


def test_the_same_input_gives_the_same_texture(front: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carve.stages.texture.unwrap", unwrap)
    again = bake_texture(front.observation, front.posed, front.params)
    assert np.array_equal(again.albedo, front.baked.albedo) and np.array_equal(again.seen, front.baked.seen)
    assert np.array_equal(again.uv, front.baked.uv)


def test_a_large_photo_gives_the_same_colours(canonical: CanonicalSurface, front: Scene) -> None:
    large = photograph(canonical, waves, size=(2700, 2700), focal=3300.0).texels()
    assert np.percentile(np.abs(large[3] - front.texels()[3])[(large[4] == 255) & (front.texels()[4] == 255)], 99) < 5


def test_a_person_cut_by_the_frame_is_textured_all_over(canonical: CanonicalSurface) -> None:
    scene = photograph(canonical, waves, size=(700, 500), focal=1400.0)
    points, posed, _, colour, seen = scene.texels()
    pixels = scene.posed.camera.project(posed)
    outside = ~((pixels > 0) & (pixels < [700, 500])).all(1)
    assert outside.mean() > 0.2 and (seen[outside] == 0).all()
    assert colour[:, 2].max() < 60 and (colour.sum(1) > 60).all()
    assert np.abs(colour - waves(points))[seen == 255].max() < 15


def test_without_any_valid_pixel_the_texture_is_plain(front: Scene) -> None:
    nothing = replace(front.observation, mask=np.zeros_like(front.observation.mask))
    baked = bake_texture(nothing, front.posed, front.params)
    assert baked.seen.max() == 0
    charts = texels(Atlas(baked.corner, baked.faces, baked.uv, np.zeros(len(baked.faces), np.int64)), len(baked.albedo)).index
    colours = np.unique(baked.albedo.reshape(-1, 3)[charts], axis=0).astype(int)
    # One grey and shoes; between the charts lie their means.
    grey = colours.max(0)
    assert np.ptp(grey) <= 1 and (np.abs(colours - SHOE).max(1) <= 1).any()
    assert ((np.abs(colours - SHOE).max(1) <= 1) | (np.abs(colours - grey).max(1) <= 6)).all()
    assert (baked.albedo >= SHOE - 1).all() and (baked.albedo <= grey + 1).all()
