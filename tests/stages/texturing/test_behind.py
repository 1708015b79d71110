"""What a back photo adds to the texture, on a figure whose colours are known everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from capsule_figure import PARAMS, Scene, capsule_surface, distances, photograph, shot
from carve.body.zones import HEAD, TORSO, face_zone
from carve.geometry.pictures.colour import encoded, linear
from carve.records import BackView, CanonicalSurface, Observation, PosedSurface, TexturedSurface
from carve.stages.texture import bake_texture
from carve.stages.texturing.behind import GOOD_OVERLAP, WON, brought, matching_gains, ramp

DIM = 0.6
"""Linear light of the back photo against that of the first."""
TOP, BOTTOM, SKIN = 3, 5, 1


def coat(points: np.ndarray) -> np.ndarray:
    """Brown cloth all around; on the back only, a bright sign and a dark stripe along the arms. Never as blue as the background."""
    out = np.tile([150.0, 110.0, 60.0], (len(points), 1))
    behind = points[:, 2] < -0.02
    sign = behind & (np.abs(points[:, 0]) < 0.08) & (np.abs(points[:, 1] - 1.15) < 0.08)
    stripe = behind & (np.abs(points[:, 1] - 1.4) < 0.015) & (np.abs(points[:, 0]) > 0.25)
    out[sign] = [220, 210, 80]
    out[stripe] = [40, 30, 20]
    return out


def dimmed(points: np.ndarray) -> np.ndarray:
    return 255 * encoded(DIM * linear(coat(points) / 255))


@pytest.fixture(scope="module")
def canonical() -> CanonicalSurface:
    return capsule_surface()


@pytest.fixture(scope="module")
def front(canonical: CanonicalSurface) -> Scene:
    return photograph(canonical, coat)


def as_view(observation: Observation, posed: PosedSurface) -> BackView:
    return BackView(observation, posed.pose, posed.camera, posed.vertices, None, 0.97)


@pytest.fixture(scope="module")
def behind(canonical: CanonicalSurface) -> BackView:
    return as_view(*shot(canonical, dimmed, yaw=170, size=(700, 800), focal=1000.0))


@pytest.fixture(scope="module")
def both(front: Scene, behind: BackView) -> TexturedSurface:
    return bake_texture(front.observation, front.posed, PARAMS, back=behind)


def at_texels(front: Scene, baked: TexturedSurface) -> tuple[np.ndarray, np.ndarray]:
    """Canonical points and colours of the texels."""
    points, _, _, colour, _ = replace(front, baked=baked).texels()
    return points, colour


def test_the_back_has_the_back_photos_colours_in_the_fronts_tones(front: Scene, both: TexturedSurface) -> None:
    points, colour = at_texels(front, both)
    sure = at_texels(front, replace(both, albedo=np.repeat(_map(both.seen_behind)[..., None], 3, 2)))[1][:, 0] == 255
    sign = (np.abs(points[:, 0]) < 0.06) & (np.abs(points[:, 1] - 1.15) < 0.06) & sure
    assert sign.sum() > 200 and sure.mean() > 0.15
    error = np.abs(colour - coat(points)).max(1)
    assert np.percentile(error[sign], 95) < 12
    plain = sure & (np.abs(points[:, 1] - 1.25) > 0.3)
    assert np.median(error[plain]) < 4
    without = np.abs(at_texels(front, front.baked)[1] - coat(points)).max(1)
    assert np.median(without[sign]) > 50


def test_what_the_first_photo_sees_squarely_stays(front: Scene, both: TexturedSurface) -> None:
    sure = front.baked.seen == 255
    np.testing.assert_array_equal(both.albedo[sure], front.baked.albedo[sure])
    assert (_map(both.seen_behind)[sure] == 0).all() and (both.seen[sure] == 255).all()
    assert both.share_behind is not None and 0.2 < both.share_behind < 0.6
    assert front.baked.seen_behind is None and front.baked.share_behind is None


def test_the_strip_between_the_photos_has_the_cloths_tone(front: Scene, both: TexturedSurface) -> None:
    points, colour = at_texels(front, both)
    side = (distances(points)[1] == TORSO) & (np.abs(points[:, 2]) < 0.02)
    assert side.sum() > 100
    assert np.percentile(np.abs(colour - [150, 110, 60])[side].max(1), 95) < 12


def test_the_back_photo_gives_no_face(canonical: CanonicalSurface) -> None:
    observation, posed = shot(canonical, coat, yaw=180)  # the first photo is one of the back, the second one of the front
    view = as_view(*shot(canonical, lambda points: np.tile([250.0, 40.0, 40.0], (len(points), 1))))
    baked = bake_texture(observation, posed, PARAMS, back=view)
    given = replace(baked, albedo=np.repeat(_map(baked.seen_behind)[..., None], 3, 2))
    points, _, _, share, _ = Scene(observation, posed, PARAMS, given).texels()
    zone = canonical.vertices[face_zone(canonical)]
    on_face = (distances(points)[1] == HEAD) & (np.abs(points - zone.mean(0)) < [0.03, 0.03, 0.05]).all(1)
    chest = (distances(points)[1] == TORSO) & (points[:, 2] > 0.12)
    assert on_face.sum() > 20 and share[on_face].max() < 30 and np.median(share[chest]) == 255


def test_a_photo_that_fits_badly_gives_nothing(front: Scene, behind: BackView) -> None:
    baked = bake_texture(front.observation, front.posed, PARAMS, back=replace(behind, overlap=GOOD_OVERLAP - 0.01))
    np.testing.assert_array_equal(baked.albedo, front.baked.albedo)
    assert baked.share_behind == 0 and _map(baked.seen_behind).max() == 0


def test_one_factor_brings_one_camera_to_another() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([TOP, BOTTOM], 200)
    light = np.where((labels == TOP)[:, None], [0.3, 0.2, 0.1], [0.05, 0.06, 0.2]) * np.exp(rng.normal(0, 0.05, (400, 1)))
    factor = np.array([-0.5, -0.4, -0.3])
    gains = matching_gains(255 * encoded(light), labels, 255 * encoded(light * np.exp(factor)), labels)
    assert set(gains) == {-1, TOP, BOTTOM}
    for gain in gains.values():
        np.testing.assert_allclose(gain, -factor, atol=0.04)


def test_another_cloth_is_not_taken_for_another_light() -> None:
    labels = np.repeat([TOP, BOTTOM, SKIN], [100, 200, 60])
    first = np.repeat([[0.3, 0.2, 0.1], [0.05, 0.06, 0.2], [0.4, 0.25, 0.15]], [100, 200, 60], axis=0)
    second = first.copy()
    second[labels == TOP] = [0.05, 0.2, 0.4]  # a vest whose back is blue
    found = matching_gains(255 * encoded(first), labels, 255 * encoded(second), labels)
    for label in (BOTTOM, SKIN, -1):
        np.testing.assert_allclose(found[label], 0, atol=0.05)
    assert np.abs(found[TOP]).max() < 0.5 and np.abs(np.log(first[0] / second[0])).max() > 1.3
    # Even where that is all there is.
    alone = matching_gains(255 * encoded(first[:100]), labels[:100], 255 * encoded(second[:100]), labels[:100])
    assert np.ptp(alone[-1]) <= 0.5 + 1e-9
    black = matching_gains(np.full((100, 3), 250.0), labels[:100], np.full((100, 3), 20.0), labels[:100])
    np.testing.assert_allclose(black[-1], 0.7)


def test_labels_that_one_photo_hardly_shows_have_no_factor_of_their_own() -> None:
    labels = np.repeat([TOP, SKIN], [100, 20])
    tones = np.full((120, 3), 120.0)
    assert set(matching_gains(tones, labels, tones, labels)) == {-1, TOP}
    assert matching_gains(tones[:100], labels[:100], tones[100:], labels[100:]).keys() == {-1}
    np.testing.assert_array_equal(matching_gains(tones[:0], labels[:0], tones, labels)[-1], 0)


def test_brought_multiplies_linear_light() -> None:
    colours = np.array([[30.0, 120.0, 200.0], [0.0, 255.0, 255.0]])
    np.testing.assert_allclose(brought(brought(colours[:1], np.full(3, -0.3)), np.full(3, 0.3)), colours[:1], atol=1e-6)
    np.testing.assert_allclose(linear(brought(colours[:1], np.full(3, 0.1)) / 255), np.exp(0.1) * linear(colours[:1] / 255))
    assert brought(colours[1:], np.full(3, 1.0)).max() <= 255


def test_the_band_rises_from_the_back_photo_to_the_first() -> None:
    weight = np.linspace(0, 1, 101)
    won = ramp(weight)
    assert (np.diff(won) >= 0).all()
    assert (won[weight <= WON[0]] == 0).all() and (won[weight >= WON[1]] == 1).all()


def _map(image: np.ndarray | None) -> np.ndarray:
    assert image is not None
    return image
