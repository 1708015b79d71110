from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carve.export.glb import write_avatar_glb
from carve.geometry.camera import Camera
from carve.geometry.pictures.colour import LINEAR_FROM_SRGB, srgb_from_linear
from carve.geometry.pictures.sampling import sample_texture
from carve.geometry.pictures.shading import BACKGROUND, TO_LIGHT, Look, render_mesh, view_camera
from carve.geometry.raster import rasterise
from carve.gltf.writer import write_posed_glb
from carve.io import preview
from carve.io.preview import HEIGHT, preview_glb, preview_sheet
from carve.io.video import write_video
from carve.records import Avatar, CarveError
from people import CELLS, TEXELS, capsule_avatar

GREY = int(srgb_from_linear(np.array(BACKGROUND)))
SQUARE = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
TWO_FACES = np.array([[0, 1, 2], [0, 2, 3]])
SQUARE_UV = np.array([[0.0, 1], [1, 1], [1, 0], [0, 0]])


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return capsule_avatar()


def test_srgb_round_trip() -> None:
    np.testing.assert_array_equal(srgb_from_linear(LINEAR_FROM_SRGB), np.arange(256))


def test_bilinear_sampling_hits_texel_centres_and_blends_light_between() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    rows, columns = np.mgrid[0:4, 0:6]
    uv = np.column_stack([(columns.ravel() + 0.5) / 6, (rows.ravel() + 0.5) / 4])
    np.testing.assert_allclose(sample_texture(image, uv), LINEAR_FROM_SRGB[image.reshape(-1, 3)], atol=1e-6)
    between = sample_texture(image, np.array([[2 / 6, 0.5 / 4]]))[0]
    np.testing.assert_allclose(between, LINEAR_FROM_SRGB[image[0, 1:3]].mean(0), atol=1e-6)


def test_a_flat_picture_comes_out_as_it_went_in() -> None:
    """A textured square that fills the view exactly, in ambient light alone, is its texture: no flip, no shift."""
    image = np.kron(np.random.default_rng(1).integers(0, 256, (4, 4, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    camera = Camera.centred(32, 32, 160.0)
    picture = render_mesh(SQUARE - np.array([0, 0, 10]), TWO_FACES, camera, Look(SQUARE_UV, image, ambient=1.0))
    inner = np.ix_(*[[8 * k + j for k in range(4) for j in range(2, 6)]] * 2)  # away from where neighbours blend
    np.testing.assert_allclose(picture[inner].astype(int), image[inner], atol=1)


def test_light_follows_lamberts_law() -> None:
    camera = Camera.centred(16, 16, 20.0)
    for normal in ([0, 0, 1.0], [0.6, 0, 0.8], [0.9, -0.3, 0.1]):
        n = np.array(normal) / np.linalg.norm(normal)
        look = Look(SQUARE_UV, np.full((2, 2, 3), 255, np.uint8), np.tile(n, (4, 1)), ambient=0.3)
        picture = render_mesh(SQUARE - np.array([0, 0, 2]), TWO_FACES, camera, look)
        expected = srgb_from_linear(np.array(0.3 + 0.7 * max(0.0, float(n @ TO_LIGHT))))
        assert abs(int(picture[8, 8, 0]) - int(expected)) <= 1


def test_the_silhouette_is_the_rasters(avatar: Avatar) -> None:
    camera = avatar.surface.camera
    picture = render_mesh(avatar.surface.vertices, avatar.body.faces, camera, Look(ambient=0.0))
    mask = rasterise(avatar.surface.vertices, avatar.body.faces, camera).mask
    covered = (picture != GREY).any(-1)
    assert (covered & mask).sum() == mask.sum()
    assert covered.sum() < 1.25 * mask.sum()  # and the pixels that are covered in part


def test_the_view_camera_sees_everything_and_fills_the_picture() -> None:
    points = np.random.default_rng(2).normal(size=(500, 3)) * [0.3, 1, 0.2] + [5, -7, 3]
    camera, offset = view_camera(points, 300, 512, 0.04)
    pixels = camera.project(points + offset)
    assert pixels.min() >= 0.03 * 300 and (pixels < [300, 512]).all()
    assert np.ptp(pixels[:, 1]) > 0.88 * 512 or np.ptp(pixels[:, 0]) > 0.88 * 300


def test_the_sheet_shows_the_person_from_all_sides(avatar: Avatar) -> None:
    sheet = preview_sheet(avatar)
    assert sheet.shape[0] == 2 * HEIGHT and sheet.dtype == np.uint8
    upper, lower = sheet[:HEIGHT], sheet[HEIGHT:]
    assert len(_starts(upper / 255)) >= 6  # photo, front, left, right, back, re-posed
    assert np.abs(lower[:, sheet.shape[1] // 3 :].astype(int) - lower[:, sheet.shape[1] // 3 :, :1]).max() == 0  # clay is grey


def test_the_front_lies_over_the_photo(avatar: Avatar) -> None:
    """The first two pictures share window and scale: the photo's person and the render cover each other."""
    sheet = preview_sheet(avatar)
    start = next(x for x in range(60, sheet.shape[1]) if (sheet[:HEIGHT, x - 1] == 200).all() and not (sheet[:HEIGHT, x] == 200).all())
    photo, front = sheet[:HEIGHT, :start], sheet[:HEIGHT, start : 2 * start]
    a, b = np.abs(photo.astype(int) - 200).max(-1) > 12, np.abs(front.astype(int) - GREY).max(-1) > 12
    assert (a & b).sum() / (a | b).sum() > 0.9


def test_left_is_the_persons_left(avatar: Avatar, tmp_path: Path) -> None:
    write_avatar_glb(tmp_path / "avatar.glb", avatar)
    preview_glb(tmp_path / "avatar.glb", tmp_path / "views.png", None)
    views = LINEAR_FROM_SRGB[np.asarray(Image.open(tmp_path / "views.png"))[:HEIGHT]]
    bone = {name: k for k, name in enumerate(avatar.body.skeleton.names)}

    def columns_of(name: str) -> np.ndarray:
        cell = TEXELS // CELLS
        colour = LINEAR_FROM_SRGB[avatar.textured.albedo[bone[name] // CELLS * cell + 4, bone[name] % CELLS * cell + 4]]
        hue = views / np.maximum(views.sum(-1, keepdims=True), 1e-3)
        return np.flatnonzero((np.abs(hue - colour / colour.sum()).max(-1) < 0.01).sum(0) > 2)

    left_hand, right_hand = columns_of("wrist.L"), columns_of("wrist.R")
    assert right_hand.min() < left_hand.min() - 300  # in the front view, the first, the left hand is on the right in the picture
    middle_of_left_view = _starts(views)[1] + 40
    assert np.abs(left_hand - middle_of_left_view).min() < 40 < np.abs(right_hand - middle_of_left_view).min()


def _starts(views: np.ndarray) -> np.ndarray:
    """The first column of each person in a row of pictures."""
    return np.flatnonzero(np.diff(np.concatenate([[0], (np.ptp(views, axis=0) > 0.3).any(-1).astype(int)])) == 1)


def test_a_glb_gets_views_and_a_turntable(avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "TURNTABLE_FRAMES", 5)
    write_posed_glb(tmp_path / "posed.glb", avatar)
    preview_glb(tmp_path / "posed.glb", tmp_path / "views.png", tmp_path / "turn.gif")
    with Image.open(tmp_path / "views.png") as views, Image.open(tmp_path / "turn.gif") as turn:
        assert views.height == 2 * HEIGHT
        assert turn.n_frames == 5


def test_an_unwritable_place_is_named(avatar: Avatar, tmp_path: Path) -> None:
    write_posed_glb(tmp_path / "posed.glb", avatar)
    with pytest.raises(CarveError, match="nowhere"):
        preview_glb(tmp_path / "posed.glb", tmp_path / "nowhere" / "views.png", None)
    with pytest.raises(CarveError, match=r"views\.xyz"):
        preview_glb(tmp_path / "posed.glb", tmp_path / "views.xyz", None)


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_a_film_keeps_its_frames(tmp_path: Path, ending: str) -> None:
    import cv2

    frames = [np.full((33, 47, 3), 20 * k, np.uint8) for k in range(1, 11)]
    path = tmp_path / f"film.{ending}"
    write_video(path, frames, 10)
    film = cv2.VideoCapture(str(path))
    shades = []
    while (read := film.read())[0]:
        shades.append(float(read[1].mean()))
    np.testing.assert_allclose(shades, [20 * k for k in range(1, 11)], atol=6)


@pytest.mark.parametrize("name", ["film.avi", "nowhere/film.gif", "nowhere/film.mp4"])
def test_a_film_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CarveError, match="film"):
        write_video(tmp_path / name, [np.zeros((8, 8, 3), np.uint8)] * 2, 10)
