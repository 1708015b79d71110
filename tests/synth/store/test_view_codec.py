"""Views and arrays come back bit for bit, other readers understand the pictures, and damaged ones are refused by name."""

from __future__ import annotations

import io
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from carve.records import CarveError
from carve.synth.records import View
from carve.synth.store.view_codec import FIELDS, decode_view, encode_png, encode_view, members_of, pack_arrays, unpack_arrays
from synth.noise_people import NUMBERS, assert_equal, view


def test_fields_are_all_pictures_of_a_view() -> None:
    assert {*FIELDS, *NUMBERS, "camera"} == {f.name for f in fields(View)}


@pytest.mark.parametrize("suns", [0, 1, 2, 5])
def test_a_view_comes_back_bit_for_bit(suns: int) -> None:
    wanted = view(suns=suns)
    assert_equal(decode_view(encode_view(wanted)), wanted)


@pytest.mark.parametrize("name", FIELDS)
def test_one_field_needs_its_member_only(name: str) -> None:
    wanted, members = view(suns=2), encode_view(view(suns=2))
    needed = members_of([name])
    assert len(needed) == 2
    found = decode_view({m: members[m] for m in needed}, [name])
    assert_equal(found, wanted, (name, *NUMBERS))
    for other in set(FIELDS) - {name}:
        empty = getattr(found, other)
        assert empty.size == 0 and empty.ndim == getattr(wanted, other).ndim and empty.dtype == getattr(wanted, other).dtype


def test_unknown_fields_and_wrong_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="albdeo"):
        decode_view(encode_view(view()), ["albdeo"])
    with pytest.raises(ValueError, match="normal is"):
        encode_view(replace(view(), normal=np.zeros((20, 12, 3), np.uint8)))
    with pytest.raises(ValueError, match="place is"):
        encode_view(replace(view(), place=np.zeros((20, 13, 3), np.uint8)))
    with pytest.raises(ValueError, match="depth is"):
        encode_view(replace(view(), depth=np.zeros((20, 13), np.float32)))
    with pytest.raises(ValueError, match="3 directions and 1 radii for 1 suns"):
        encode_view(replace(view(), sun_directions=np.eye(3)))


LONG = encode_png(np.zeros((9, 5, 4), np.uint8))
LONG = LONG[:33] + b"\xf0\0\0\0" + LONG[37:]
"""Its pixels would be a chunk of 4 GiB."""


@pytest.mark.parametrize("damage", [b"", b"no png", LONG])
def test_a_damaged_picture_is_refused_by_name(damage: bytes) -> None:
    with pytest.raises(CarveError, match=r"bent\.png"):
        decode_view(encode_view(view()) | {"bent.png": damage})
    with pytest.raises(CarveError, match=r"depth\.png"):
        decode_view(encode_view(view()) | {"depth.png": encode_png(np.zeros((3, 3), np.uint16))})


@pytest.mark.parametrize(
    ("shape", "kind"), [((9, 5), np.uint8), ((9, 5, 3), np.uint8), ((9, 5, 4), np.uint8), ((9, 5), np.uint16), ((1, 1), np.uint8)]
)
def test_other_readers_understand_the_pngs(shape: tuple[int, ...], kind: type) -> None:
    picture = np.random.default_rng(1).integers(0, np.iinfo(kind).max, shape).astype(kind)
    found = cv2.imdecode(np.frombuffer(encode_png(picture), np.uint8), cv2.IMREAD_UNCHANGED)
    if len(shape) == 3:
        found = found[..., [2, 1, 0, 3][: shape[2]]]
    np.testing.assert_array_equal(found, picture)
    np.testing.assert_array_equal(encode_png(np.asfortranarray(picture)), encode_png(picture))


def test_arrays_come_back_without_pickle() -> None:
    wanted: dict[str, np.ndarray] = {"a": np.arange(6, dtype=np.int32).reshape(2, 3), "empty": np.zeros((0, 3)), "flag": np.array(True)}
    found = unpack_arrays(pack_arrays(wanted))
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert list(unpack_arrays(pack_arrays(wanted), ["empty"])) == ["empty"]
    np.testing.assert_array_equal(np.load(io.BytesIO(pack_arrays(wanted)), allow_pickle=False)["a"], wanted["a"])
    with pytest.raises(KeyError):
        unpack_arrays(pack_arrays(wanted), ["b"])
    with pytest.raises(ValueError, match="Object arrays"):
        pack_arrays({"o": np.array([None])})
    with pytest.raises(CarveError, match="damaged"):
        unpack_arrays(pack_arrays(wanted)[:-30])


def test_empty_borders_are_cut_off_and_come_back() -> None:
    full = view(suns=2, size=(40, 30))
    names = [f.name for f in fields(View) if isinstance(getattr(full, f.name), np.ndarray) and f.name in FIELDS]
    framed = {name: np.zeros_like(getattr(full, name)) for name in names}
    for name in names:
        framed[name][11:31, 4:17] = getattr(full, name)[11:31, 4:17]
    wanted = replace(full, **framed)
    members = encode_view(wanted)
    assert len(members["normal.png"]) < 0.5 * len(encode_view(full)["normal.png"])
    assert_equal(decode_view(members), wanted)
    nothing = replace(full, **{name: np.zeros_like(getattr(full, name)) for name in names})
    assert_equal(decode_view(encode_view(nothing)), nothing)
