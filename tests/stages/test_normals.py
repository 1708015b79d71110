"""Normal maps: a sphere in closed form, a person from both sides, what a network says of a window of the photo."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from carve.geometry.camera import Camera
from carve.geometry.pictures.window import Window
from carve.geometry.raster import rasterise
from carve.geometry.relief.normal_maps import front_and_back
from carve.networks.detail import DetailNet
from carve.networks.normals import Architecture, NormalsNet, NormalsOutput
from carve.records import BodyFit, CarveError, NormalMaps, Observation, Photo, PosedSurface
from carve.stages.normals import OwnNormals, Params, mirrored, person_window, predict_evidence, predict_normals, with_mask
from people import capsule_avatar
from solids import sphere
from synthetic import Truth

CAMERA, CENTRE, RADIUS = Camera(160, 120, 150.0, 70.0, 65.0), np.array([0.2, -0.1, -3.0]), 0.8


def rendered(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> NormalMaps:
    """The maps of a mesh."""
    front, back = (n.astype(np.float16) for n in front_and_back(vertices, faces, camera))
    mask = (front != 0).any(-1)
    return NormalMaps(front, back, np.zeros(mask.shape, np.float16), mask)


@pytest.fixture(scope="module")
def maps() -> NormalMaps:
    """Of a sphere."""
    return rendered(*sphere(RADIUS, tuple(CENTRE), splits=5), CAMERA)


def test_a_sphere_in_closed_form(maps: NormalMaps) -> None:
    rays = CAMERA.rays(np.stack(np.meshgrid(np.arange(160), np.arange(120)), -1) + 0.5)
    square, along = (rays**2).sum(-1), rays @ CENTRE
    root = np.sqrt(np.maximum(along**2 - square * (CENTRE @ CENTRE - RADIUS**2), 0))
    inside = maps.mask & (root > 0.05 * along)
    assert inside.sum() > 0.9 * maps.mask.sum()
    for image, sign in ((maps.front, -1), (maps.back, 1)):
        expected = (rays * ((along + sign * root) / square)[..., None] - CENTRE) / RADIUS
        np.testing.assert_allclose(image[inside], expected[inside], atol=0.02)


def test_normals_have_unit_length_inside_and_none_outside(maps: NormalMaps) -> None:
    for image in (maps.front, maps.back):
        assert image.dtype == np.float16 and image.shape == (120, 160, 3)
        np.testing.assert_allclose(np.linalg.norm(image[maps.mask].astype(float), axis=1), 1, atol=2e-3)
        assert not image[~maps.mask].any()


def test_a_person_faces_the_camera_in_front_and_turns_away_behind(clothed: Truth, refined: PosedSurface) -> None:
    observation: Observation = clothed.observation
    maps = rendered(refined.vertices, refined.canonical.faces, refined.camera)
    photo: Photo = observation.photo
    assert maps.mask.shape == photo.pixels.shape[:2]
    np.testing.assert_array_equal(maps.mask, rasterise(refined.vertices, refined.canonical.faces, refined.camera).mask)
    rays = refined.camera.rays(np.stack(np.meshgrid(np.arange(maps.mask.shape[1]), np.arange(maps.mask.shape[0])), -1) + 0.5)
    towards = -(rays / np.linalg.norm(rays, axis=-1, keepdims=True) * maps.front).sum(-1)
    away = (rays / np.linalg.norm(rays, axis=-1, keepdims=True) * maps.back).sum(-1)
    for facing in (towards[maps.mask], away[maps.mask]):
        assert (facing > 0).mean() > 0.98
        assert np.median(facing) > 0.7
    assert (maps.front[maps.mask][:, 2] > 0).mean() > 0.95
    assert (maps.back[maps.mask][:, 2] < 0).mean() > 0.95
    assert np.isfinite(maps.front).all() and np.isfinite(maps.back).all()


def test_evidence_is_the_mean_with_and_without_the_body(clothed: Truth) -> None:
    torch.manual_seed(0)
    network = NormalsNet(Architecture(widths=(8, 16, 16, 24, 24), blocks=(1, 1, 1, 1), heads=2, context=1)).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    params = Params(size=256)
    alone, given = (predict_normals(clothed.observation, body, network, params) for body in (None, clothed.body))
    mean = predict_evidence(clothed.observation, clothed.body, network, params)
    assert alone.depth is not None and given.depth is not None and mean.depth is not None
    assert np.abs(alone.depth - given.depth).max() > 1e-3
    np.testing.assert_allclose(mean.depth, (alone.depth + given.depth) / 2, atol=1e-3)
    middle = alone.front.astype(float) + given.front
    middle /= np.maximum(np.linalg.norm(middle, axis=-1, keepdims=True), 1e-6)
    inner = mean.mask & alone.mask
    assert np.linalg.norm(middle - mean.front, axis=-1)[inner].mean() < 0.01


SIZE = 128
"""Side of the windows below."""
PARAMS = Params(size=SIZE, mirror=False, refine_mask=True)  # type: ignore[arg-type]


def pixels(width: int = 160, height: int = 120) -> np.ndarray:
    """(H, W, 2) their centres."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) + 0.5


def ball_in(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The ball's front and back normals (H, W, 3), its depth (H, W) along the axis and where it is, in closed form through a camera."""
    rays = camera.rays(pixels(camera.width, camera.height))
    square, along = (rays**2).sum(-1), rays @ CENTRE
    under = along**2 - square * (CENTRE @ CENTRE - RADIUS**2)
    root = np.sqrt(np.maximum(under, 0))
    front, back = ((rays * ((along + sign * root) / square)[..., None] - CENTRE) / RADIUS for sign in (-1, 1))
    return front, back, (along - root) / square, under > 0


def ball_seen(source: str = "detector") -> Observation:
    """A picture of noise in which the ball is the person."""
    mask = ball_in(CAMERA)[3]
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    photo = Photo(np.kron(noise, np.ones((4, 4, 1), np.uint8)), None, None, "ball")
    return replace(capsule_avatar().observation, photo=photo, mask=mask.astype(np.float32), mask_source=source, camera=CAMERA)


class Ball(nn.Module):
    """A network that knows the ball: it answers in closed form, every second time as of the mirrored window."""

    def __init__(self, window: Window, mirror: bool = False, smaller: int = 0) -> None:
        super().__init__()
        self.asked, self.mirror, self.seen = 0, mirror, [torch.zeros(0)] * 4
        camera = CAMERA.cropped(window.left, window.top, SIZE, SIZE, window.scale)
        front, back, depth, mask = ball_in(camera)
        axis = np.array([0.0, 0.0, 1.0])
        front, back = np.where(mask[..., None], front, axis), np.where(mask[..., None], back, -axis)
        height = np.where(mask, -CENTRE[2] - depth, 0) * CAMERA.focal / -CENTRE[2] / window.side
        found = cv2.erode(mask.astype(np.uint8), np.ones((2 * smaller + 1, 2 * smaller + 1), np.uint8)) > 0
        rows = np.linspace(-3, -2, SIZE)[:, None].repeat(SIZE, 1)
        image = lambda values: torch.from_numpy(np.atleast_3d(values)).permute(2, 0, 1)[None].float()  # noqa: E731
        self.answer = NormalsOutput(*(image(v) for v in (front, back, rows, rows - 0.5, 16.0 * found - 8, height, 0 * rows - 4)))

    def forward(self, image: torch.Tensor, mask: torch.Tensor, front: torch.Tensor, back: torch.Tensor) -> NormalsOutput:
        self.asked += 1
        self.seen = [image, mask, front, back]
        return mirrored(self.answer) if self.mirror and self.asked % 2 == 0 else self.answer


def the_window(observation: Observation) -> Window:
    return person_window(observation.mask, PARAMS.fill, SIZE)


@pytest.mark.parametrize("mirror", [False, True])
def test_the_networks_answer_lands_at_the_photos_pixels(mirror: bool) -> None:
    """On a photo that is not square, of a ball beside its middle; asked once or, also about the mirror image, twice."""
    observation = ball_seen()
    network = Ball(the_window(observation), mirror)
    maps = predict_normals(observation, None, network, replace(PARAMS, mirror=mirror))
    assert network.asked == 1 + mirror
    front, back, depth, mask = ball_in(CAMERA)
    assert (maps.mask ^ mask).sum() < 0.01 * mask.sum()
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    for found, expected in ((maps.front, front), (maps.back, back)):
        assert found.shape == (120, 160, 3) and found.dtype == np.float16
        error = np.degrees(np.linalg.norm(found.astype(float) - expected, axis=-1))
        assert error[inner].max() < 2.5
        assert error[maps.mask & mask].mean() < 2
    height = (-CENTRE[2] - depth) * CAMERA.focal / -CENTRE[2]
    assert maps.depth is not None and maps.depth.dtype == np.float32
    difference = (maps.depth - height)[inner]
    assert np.ptp(difference) < 0.6
    assert maps.source == "network"


def test_predictions_are_unit_vectors_or_zero_and_doubts_are_where_they_are() -> None:
    observation = ball_seen()
    window = the_window(observation)
    maps = predict_normals(observation, None, Ball(window), PARAMS)
    assert maps.log_variance_back is not None and maps.depth_log_variance is not None and maps.depth is not None
    for image in (maps.front, maps.back):
        np.testing.assert_allclose(np.linalg.norm(image[maps.mask].astype(float), axis=1), 1, atol=2e-3)
        assert not image[~maps.mask].any()
    for values in (maps.log_variance, maps.log_variance_back, maps.depth, maps.depth_log_variance):
        assert values.shape == (120, 160)
        assert not values[~maps.mask].any()
    # The scales grow by one down the window: 2 log b + log 6 for angles, 2 log b + log 2 and the crop's side for the depth in pixels.
    down = (pixels()[..., 1] - window.top) / window.side
    for values, base in ((maps.log_variance, -3), (maps.log_variance_back, -3.5)):
        expected = 2 * (base + down) + np.log(6)
        np.testing.assert_allclose(values[maps.mask], expected[maps.mask], atol=0.03)
    np.testing.assert_allclose(maps.depth_log_variance[maps.mask], -8 + np.log(2) + 2 * np.log(window.side), rtol=1e-5)


def test_a_detected_mask_is_averaged_with_the_networks_and_a_given_one_stays() -> None:
    window = the_window(ball_seen())
    for source, params, refined in (
        ("detector", PARAMS, True),
        ("file", PARAMS, False),
        ("alpha", PARAMS, False),
        ("detector", replace(PARAMS, refine_mask=False), False),
    ):
        # Less sure of the rim than the network, which is outvoted where the detector is certain.
        observation = ball_seen(source)
        observation = replace(observation, mask=0.9 * observation.mask)
        maps = predict_normals(observation, None, Ball(window, smaller=6), params)
        assert maps.coverage is not None
        given = observation.mask > 0.5
        if refined:
            assert 0.7 * given.sum() < maps.mask.sum() < 0.9 * given.sum()
            assert not (maps.mask & ~given).any()
            np.testing.assert_array_equal(maps.mask, maps.coverage > 0.5)
            assert maps.coverage.min() >= 0
            assert maps.coverage.max() == pytest.approx((0.9 + 1 / (1 + np.exp(-8))) / 2, abs=1e-3)
        else:
            np.testing.assert_array_equal(maps.coverage, observation.mask)
            np.testing.assert_array_equal(maps.mask, given)
        # Normals stand all over the mask, also where the network would have ended it.
        np.testing.assert_allclose(np.linalg.norm(maps.front[maps.mask].astype(float), axis=1), 1, atol=2e-3)
        error = np.linalg.norm(maps.front.astype(float) - ball_in(CAMERA)[0], axis=-1)
        assert error[cv2.erode(maps.mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0].max() < 0.08


def test_an_observation_takes_the_refined_mask_over() -> None:
    detected = ball_seen()
    maps = predict_normals(detected, None, Ball(the_window(detected), smaller=4), PARAMS)
    taken = with_mask(detected, maps)
    assert taken.mask is maps.coverage
    assert taken.mask_source == "network"
    given = ball_seen("file")
    assert with_mask(given, maps) is given
    assert with_mask(detected, replace(maps, coverage=None)) is detected


def test_the_network_sees_the_window() -> None:
    """Photo and mask cut alike; beyond the photo's border nobody is."""
    observation = ball_seen()
    mask = observation.mask.copy()
    mask[100:, 40:100] = 1  # down to the border
    observation = replace(observation, mask=mask)
    window = person_window(mask, PARAMS.fill, SIZE)
    network = Ball(window)
    predict_normals(observation, None, network, PARAMS)
    image, seen, front, back = network.seen
    assert image.shape == (1, 3, SIZE, SIZE) and seen.shape == (1, 1, SIZE, SIZE)
    assert front.shape == back.shape == (1, 3, SIZE // 2, SIZE // 2)
    assert not front.any() and not back.any()
    np.testing.assert_allclose(image[0].permute(1, 2, 0) * 255, window.cut(observation.photo.pixels), atol=1e-3)
    within = window.within(160, 120)
    assert not within.all()
    assert not seen[0, 0].numpy()[~within].any()
    np.testing.assert_allclose(seen[0, 0].numpy()[within], window.cut(mask)[within])


TINY = Architecture(widths=(8, 16, 16, 24, 24), blocks=(1, 1, 1, 1), heads=2, labels=12, places=True)


def capsules(turned: bool = False) -> tuple[Observation, BodyFit]:
    """The capsule person in a picture of blurred noise, with a camera off the middle; or all of it mirrored."""
    made = capsule_avatar()
    noise = cv2.GaussianBlur(np.random.default_rng(3).normal(128, 300, (240, 160, 3)), (0, 0), 3).clip(0, 255).astype(np.uint8)
    pixels, mask = np.where(made.observation.mask[..., None] > 0.5, made.observation.photo.pixels, noise), made.observation.mask
    body = made.body
    if turned:
        camera = replace(body.camera, cx=160 - body.camera.cx)
        body = replace(body, camera=camera, posed=body.posed * [-1, 1, 1], faces=body.faces[:, ::-1])
        pixels, mask = np.ascontiguousarray(pixels[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    photo = replace(made.observation.photo, pixels=pixels)
    return replace(made.observation, photo=photo, mask=mask, mask_source="detector", camera=body.camera), body


def test_a_new_network_answers_with_the_body() -> None:
    """Which therefore went through the window and back to its own pixels."""
    observation, body = capsules()
    torch.manual_seed(0)
    maps = predict_normals(observation, body, NormalsNet(TINY).eval(), replace(PARAMS, size=256, mirror=True))
    for found, true in zip((maps.front, maps.back), front_and_back(body.posed, body.faces, body.camera), strict=True):
        inner = cv2.erode((maps.mask & true.any(-1)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert inner.sum() > 1000
        assert np.degrees(np.linalg.norm(found.astype(float) - true, axis=-1)[inner]).mean() < 6
        wrong = np.linalg.norm(found.astype(float) * [-1, 1, 1] - true, axis=-1)[inner]
        assert np.degrees(wrong).mean() > 25
    assert (maps.mask ^ (observation.mask > 0.5)).sum() < 0.05 * maps.mask.sum()


def shaken_network() -> NormalsNet:
    """Random weights everywhere."""
    torch.manual_seed(1)
    network = NormalsNet(TINY).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return network


def test_a_person_too_small_for_the_detail_network_has_the_maps_of_the_person_network() -> None:
    observation, body = capsules()
    network = shaken_network()
    alone, beside = (predict_normals(observation, body, network, Params(), detail=net) for net in (None, DetailNet().eval()))
    assert not beside.detailed
    for name in ("front", "back", "log_variance"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(beside, name))


def test_mirroring_twice_changes_nothing() -> None:
    observation, body = capsules()
    window = the_window(observation)
    camera = body.camera.cropped(window.left, window.top, SIZE, SIZE, window.scale)
    maps = [torch.from_numpy(np.moveaxis(n, -1, 0).copy())[None] for n in front_and_back(body.posed, body.faces, camera)]
    out = shaken_network()(torch.rand(1, 3, SIZE, SIZE), torch.rand(1, 1, SIZE, SIZE), *maps)
    once, twice = mirrored(out), mirrored(mirrored(out))
    for name in NormalsOutput.__dataclass_fields__:
        assert torch.equal(getattr(twice, name), getattr(out, name))
    assert torch.equal(once.front[0, 0, 5, 9], -out.front[0, 0, 5, SIZE - 10])
    assert torch.equal(once.front[0, 1:, 5, 9], out.front[0, 1:, 5, SIZE - 10])
    assert torch.equal(once.depth[0, 0, 5, 9], out.depth[0, 0, 5, SIZE - 10])


@pytest.mark.parametrize("with_body", [False, True])
def test_a_mirrored_photo_has_the_mirrored_maps(with_body: bool) -> None:
    """Of any network, when it is asked about both."""
    network = shaken_network()
    results = {}
    for mirror in (True, False):
        maps = [
            predict_normals(observation, body if with_body else None, network, replace(PARAMS, mirror=mirror))
            for observation, body in (capsules(), capsules(turned=True))
        ]
        both = maps[0].mask & maps[1].mask[:, ::-1]
        assert both.sum() > 500
        pairs = [(maps[0].front, maps[1].front), (maps[0].back, maps[1].back)]
        gaps = [np.linalg.norm(a.astype(float) - b[:, ::-1] * [-1.0, 1, 1], axis=-1) for a, b in pairs]
        results[mirror] = max(float(gap[both].max()) for gap in gaps)
        if mirror:
            assert both.sum() == maps[0].mask.sum() == maps[1].mask.sum()
            for name in ("log_variance", "log_variance_back", "coverage", "depth", "depth_log_variance"):
                a, b = (getattr(m, name).astype(float) for m in maps)
                np.testing.assert_allclose(a, b[:, ::-1], atol=2e-3, rtol=2e-3, err_msg=name)
    assert results[True] < 0.02
    assert results[False] > 0.05


def test_the_window_is_a_square_around_the_person() -> None:
    mask = np.zeros((120, 160), np.float32)
    mask[20:100, 30:50] = 1
    window = person_window(mask, 0.8, 256)
    assert (window.side, window.size) == (pytest.approx(100), 256)
    assert (window.left + window.side / 2, window.top + window.side / 2) == (pytest.approx(40), pytest.approx(60))
    mask[60, 155] = 1
    assert person_window(mask, 1.0, 64).side == 126
    with pytest.raises(CarveError, match="--mask"):
        person_window(0.4 * mask, 0.8, 256)


def test_normals_that_the_user_brings_replace_those_of_the_network() -> None:
    """Where there are some, inside the mask; their doubt is the settings'."""
    observation = ball_seen()
    network = Ball(the_window(observation))
    plain = predict_normals(observation, None, network, PARAMS)
    own = np.zeros((120, 160, 3), np.float32)
    own[:60] = 0.9 * np.array([0.6, 0.0, 0.8], np.float32)
    for side, doubt in (("front", "log_variance"), ("back", "log_variance_back")):
        maps = predict_normals(observation, None, network, replace(PARAMS, own_sigma_degrees=7.0), OwnNormals(**{side: own}))
        upper = maps.mask & (pixels()[..., 1] < 60)
        np.testing.assert_allclose(getattr(maps, side)[upper].astype(float), np.tile([0.6, 0, 0.8], (upper.sum(), 1)), atol=1e-3)
        np.testing.assert_allclose(np.degrees(np.exp(getattr(maps, doubt)[upper].astype(float) / 2)), 7, rtol=1e-2)
        np.testing.assert_array_equal(getattr(maps, side)[~upper], getattr(plain, side)[~upper])
        other = "back" if side == "front" else "front"
        np.testing.assert_array_equal(getattr(maps, other), getattr(plain, other))
        assert maps.source == "file"


def test_a_model_that_the_user_brings_is_asked_about_the_window() -> None:
    observation, body = capsules()

    def answer(crop: np.ndarray, mask: np.ndarray, front: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The body's own."""
        assert crop.shape == (256, 256, 3) and crop.dtype == np.uint8
        assert mask.shape == (256, 256) and 0 <= mask.min() < mask.max() <= 1
        return front, None

    maps = predict_normals(observation, body, shaken_network(), PARAMS, OwnNormals(model=answer, side=256))
    plain = predict_normals(observation, body, shaken_network(), PARAMS)
    true = front_and_back(body.posed, body.faces, body.camera)[0]
    inner = cv2.erode((maps.mask & true.any(-1)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.degrees(np.linalg.norm(maps.front.astype(float) - true, axis=-1)[inner]).mean() < 4
    np.testing.assert_array_equal(maps.back, plain.back)
    assert maps.source == "model"
