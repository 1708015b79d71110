"""Normal maps from files: carve's own come back, backgrounds hold nothing, other conventions and other pictures are refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from carve.geometry.frames import normals_to_rgb
from carve.io.image import write_png
from carve.io.normal_files import CONVENTION, Facing, check_convention, read_normals
from carve.records import CarveError
from normal_pictures import rgb_to_normals
from people import capsule_avatar

SIZE = (60, 80)


@pytest.fixture(scope="module")
def ball() -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) normals of a ball's near half, and where it is (H, W)."""
    width, height = SIZE
    x = (np.arange(width) + 0.5 - width / 2) / 25
    y = -(np.arange(height) + 0.5 - height / 2)[:, None] / 25
    squared = x**2 + y**2
    normals = np.stack(np.broadcast_arrays(x, y, np.sqrt(np.maximum(1 - squared, 0))), -1)
    mask = squared < 1
    return np.where(mask[..., None], normals, 0), mask


def wide(normals: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The 16-bit colours of normals, black outside, in OpenCV's order of channels."""
    return np.where(mask[..., None], np.round((normals + 1) / 2 * 65535), 0).astype(np.uint16)[..., ::-1]


def test_what_carve_writes_is_read_as_it_was(tmp_path: Path, ball: tuple[np.ndarray, np.ndarray]) -> None:
    pixels = normals_to_rgb(*ball)
    write_png(tmp_path / "n.png", pixels)
    normals, mask = read_normals(tmp_path / "n.png", SIZE, "front")
    assert normals.dtype == np.float32 and mask.dtype == bool
    np.testing.assert_array_equal(mask, ball[1])
    np.testing.assert_allclose(normals, rgb_to_normals(pixels), atol=1e-6)


@pytest.mark.parametrize("facing", ["front", "back"])
def test_the_maps_of_a_whole_person_are_accepted(tmp_path: Path, facing: Facing) -> None:
    maps = capsule_avatar().normals
    behind = maps.front * np.array([1, 1, -1])  # the same outline, seen through
    write_png(tmp_path / "n.png", normals_to_rgb(maps.front if facing == "front" else behind, maps.mask))
    _, mask = read_normals(tmp_path / "n.png", (160, 240), facing)
    np.testing.assert_array_equal(mask, maps.mask)


def test_sixteen_bits_are_kept(tmp_path: Path, ball: tuple[np.ndarray, np.ndarray]) -> None:
    cv2.imwrite(str(tmp_path / "n.png"), wide(*ball))
    normals, mask = read_normals(tmp_path / "n.png", SIZE)
    np.testing.assert_array_equal(mask, ball[1])
    np.testing.assert_allclose(normals, ball[0], atol=5e-5)  # 8 bits would leave 4e-3


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (127, 127, 127)])
def test_a_plain_background_holds_no_normals(tmp_path: Path, ball: tuple[np.ndarray, np.ndarray], background: tuple[int, ...]) -> None:
    write_png(tmp_path / "n.png", np.where(ball[1][..., None], normals_to_rgb(*ball), np.uint8(background)))
    normals, mask = read_normals(tmp_path / "n.png", SIZE)
    np.testing.assert_array_equal(mask, ball[1])
    assert not normals[~mask].any()


def test_transparent_pixels_hold_no_normals(tmp_path: Path, ball: tuple[np.ndarray, np.ndarray]) -> None:
    flat = np.full((*ball[1].shape, 3), (128, 128, 255), np.uint8)  # faces us everywhere
    pixels = np.where(ball[1][..., None], normals_to_rgb(*ball), flat)
    Image.fromarray(np.dstack([pixels, np.uint8(ball[1]) * 255])).save(tmp_path / "n.png")
    np.testing.assert_array_equal(read_normals(tmp_path / "n.png", SIZE)[1], ball[1])


def test_a_map_that_fills_the_picture_is_accepted(tmp_path: Path) -> None:
    write_png(tmp_path / "n.png", np.full((SIZE[1], SIZE[0], 3), (128, 200, 230), np.uint8))
    normals, mask = read_normals(tmp_path / "n.png", SIZE)
    assert mask.all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("signs", "facing", "axis"),
    [
        ((1, 1, -1), "front", "z"),
        ((1, 1, 1), "back", "z"),
        ((1, -1, 1), "front", "y"),
        ((-1, 1, 1), "front", "x"),
        ((1, -1, -1), "front", "z"),
        ((-1, 1, -1), "back", "x"),
    ],
)
def test_a_flipped_axis_is_named(
    tmp_path: Path, ball: tuple[np.ndarray, np.ndarray], signs: tuple[int, ...], facing: Facing, axis: str
) -> None:
    write_png(tmp_path / "n.png", normals_to_rgb(ball[0] * signs, ball[1]))
    with pytest.raises(CarveError, match=f"The {facing} normals of .*n.png have {axis} ") as raised:
        read_normals(tmp_path / "n.png", SIZE, facing)
    assert CONVENTION in str(raised.value)


def test_red_and_blue_in_the_wrong_order_are_noticed(tmp_path: Path, ball: tuple[np.ndarray, np.ndarray]) -> None:
    write_png(tmp_path / "n.png", normals_to_rgb(*ball)[..., ::-1])
    with pytest.raises(CarveError, match="wrong way round"):
        read_normals(tmp_path / "n.png", SIZE)


def test_flipped_axes_of_a_person_are_noticed() -> None:
    maps = capsule_avatar().normals
    front = maps.front.astype(np.float32)
    check_convention(front, maps.mask, "front", "it")
    for axis, name in enumerate("xyz"):
        flipped = front * np.where(np.arange(3) == axis, -1, 1)
        with pytest.raises(CarveError, match=f"of it have {name} "):
            check_convention(flipped, maps.mask, "front", "it")


def test_nothing_is_said_of_an_empty_mask() -> None:
    check_convention(np.zeros((4, 4, 3)), np.zeros((4, 4), bool), "front", "it")


def test_pictures_that_are_no_normals_are_refused(tmp_path: Path, ball: tuple[np.ndarray, np.ndarray]) -> None:
    path = tmp_path / "n.png"
    write_png(path, np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    with pytest.raises(CarveError, match="holds no normals"):
        read_normals(path, SIZE)
    write_png(path, np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8))
    with pytest.raises(CarveError, match="not unit normals"):
        read_normals(path, SIZE)
    linear = normals_to_rgb(*ball) / 255
    write_png(path, np.round(255 * linear ** (1 / 2.2)).astype(np.uint8))
    with pytest.raises(CarveError, match="without gamma"):
        read_normals(path, SIZE)
    write_png(path, normals_to_rgb(*ball)[..., 0])
    with pytest.raises(CarveError, match="has no colours"):
        read_normals(path, SIZE)


def test_files_that_cannot_be_used_are_told(tmp_path: Path, ball: tuple[np.ndarray, np.ndarray]) -> None:
    path = tmp_path / "n.png"
    with pytest.raises(CarveError, match="does not exist"):
        read_normals(path, SIZE)
    write_png(path, normals_to_rgb(*ball))
    with pytest.raises(CarveError, match="60 x 80 pixels but the photo is 80 x 60"):
        read_normals(path, (80, 60))
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(CarveError, match=r"cannot be read .*; save it anew"):
        read_normals(path, SIZE)
    Image.fromarray(normals_to_rgb(*ball)).save(path, "JPEG")
    with pytest.raises(CarveError, match="not a PNG picture"):
        read_normals(path, SIZE)
    with pytest.raises(CarveError, match="cannot be read"):
        read_normals(tmp_path, SIZE)


def test_a_size_that_is_declared_twice_is_not_believed(tmp_path: Path) -> None:
    """Pillow takes the last header, OpenCV the first."""
    path = tmp_path / "normals.png"
    Image.fromarray(np.full((64, 48, 3), 128, np.uint8)).save(path)
    data = path.read_bytes()
    header = b"IHDR" + struct.pack(">II", 9000, 9000) + data[24:29]
    path.write_bytes(data[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + data[8:])
    with pytest.raises(CarveError, match="twice"):
        read_normals(path, (48, 64))


@pytest.mark.parametrize("end", [12, 40])
def test_chunks_lie_within_the_file(tmp_path: Path, ball: tuple[np.ndarray, np.ndarray], end: int) -> None:
    """OpenCV takes memory for what a chunk declares, 3 GiB here; Pillow asks for no more than the pixels need."""
    path = tmp_path / "normals.png"
    write_png(path, normals_to_rgb(*ball))
    data = path.read_bytes()
    at = data.index(b"IDAT") - 4
    path.write_bytes(data[:at] + struct.pack(">I", 3 << 30) + data[at + 4 :] + bytes(end))
    with pytest.raises(CarveError, match="ends within a chunk"):
        read_normals(path, SIZE)
