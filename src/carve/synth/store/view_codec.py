"""Views and arrays as bytes and back, exactly: PNGs for the pictures, an .npz without compression for the rest.

A view's members, as they are named in a shard behind `KEY.vN.`:

| member | holds | stored as |
|---|---|---|
| view.npz | camera, up, depth_range, sun_directions, sun_radii, landmarks, box | .npy members, not compressed |
| albedo.png | albedo, coverage | RGBA |
| albedo_back.png, normal, normal_back, body_normal, body_normal_back | the field of that name | RGB |
| depth.png | depth | 16 bit grey |
| place.png, fabric, fabric_back | the field of that name | 16 bit grey, one component below the other |
| bent.png | bent, occlusion | RGBA |
| labels.png | part, part_back, region, each sun of sun_free | grey, one below the other |

The pictures are cut to `box` (left, top, width, height), outside which all of them are zero: a person fills a part of a square.
The PNGs have the Up filter in every row and zlib level 1: on people before an empty background they decode in about half the time that
filters chosen row by row take, for some five per cent more bytes. They are written here, not by OpenCV, whose versions differ in the bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping

import cv2
import numpy as np

from carve.files.arrays import check_total, read_member
from carve.files.fence import OversizeError, fence
from carve.files.png import SIGNATURE, check_png
from carve.geometry.camera import Camera
from carve.synth.records import View

MAX_BYTES = 256 << 20
"""Of the arrays of a person."""
MAX_PIXELS = 64 << 20
"""Of a picture, all its planes together."""
_COMPRESSION = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first date: equal arrays give equal files
_COLOURS = ("albedo_back", "normal", "normal_back", "body_normal", "body_normal_back")
_FINE = {"depth": 1, "place": 3, "fabric": 2, "fabric_back": 2}
"""Fields of 16 bit and how many components they have."""
_LABELS = ("part", "part_back", "region")
_MEMBER = {
    **{name: f"{name}.png" for name in (*_COLOURS, *_FINE)},
    "albedo": "albedo.png",
    "coverage": "albedo.png",
    "bent": "bent.png",
    "occlusion": "bent.png",
    **dict.fromkeys(_LABELS, "labels.png"),
    "sun_free": "labels.png",
}
"""The member that holds each picture of a View."""
FIELDS = tuple(_MEMBER)
"""The names that `fields` may hold."""


def encode_view(view: View) -> dict[str, bytes]:
    """The members of one view by their names behind `KEY.vN.`.

    Raises:
        ValueError: a picture's size or type is not what `View` says.
    """
    h, w = view.coverage.shape
    suns = view.sun_free.shape[-1]
    shapes = dict.fromkeys((*_COLOURS, "albedo", "bent"), (h, w, 3)) | {"sun_free": (h, w, suns)}
    shapes |= {name: (h, w, count) for name, count in _FINE.items() if count > 1}
    for name in FIELDS:
        array, kind = getattr(view, name), np.uint16 if name in _FINE else np.uint8
        if array.shape != shapes.get(name, (h, w)) or array.dtype != kind:
            raise ValueError(f"{name} is {array.shape} {array.dtype}, not {shapes.get(name, (h, w))} {np.dtype(kind)}")
    if len(view.sun_directions) != suns or len(view.sun_radii) != suns:
        raise ValueError(f"{len(view.sun_directions)} directions and {len(view.sun_radii)} radii for {suns} suns")
    camera = view.camera
    numbers = {
        "camera": np.array([camera.width, camera.height, camera.focal, camera.cx, camera.cy], np.float64),
        "up": np.asarray(view.up, np.float64),
        "depth_range": np.array(view.depth_range, np.float64),
        "sun_directions": np.asarray(view.sun_directions, np.float64),
        "sun_radii": np.asarray(view.sun_radii, np.float64),
        "landmarks": np.asarray(view.landmarks, np.float64),
    }
    layers = _layers(view)
    left, top, width, height = _used(layers.values())
    numbers["box"] = np.array([left, top, width, height], np.int64)
    cut = {name: layer[:, top : top + height, left : left + width] for name, layer in layers.items()}
    pictures = {name: layer[0] if len(layer) == 1 else layer.reshape(-1, width) for name, layer in cut.items()}
    return {"view.npz": pack_arrays(numbers)} | {f"{name}.png": encode_png(picture) for name, picture in pictures.items()}


def _layers(view: View) -> dict[str, np.ndarray]:
    """Each picture's planes (N, H, W) or its one plane of colours (1, H, W, C)."""
    found = {name: getattr(view, name)[None] for name in _COLOURS}
    found |= {name: np.moveaxis(np.atleast_3d(getattr(view, name)), -1, 0) for name in _FINE}
    found["albedo"] = np.dstack([view.albedo, view.coverage])[None]
    found["bent"] = np.dstack([view.bent, view.occlusion])[None]
    planes = [getattr(view, name)[None] for name in _LABELS]
    return found | {"labels": np.concatenate([*planes, np.moveaxis(view.sun_free, -1, 0)])}


def _used(layers: Iterable[np.ndarray]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the smallest rectangle outside which all layers (N, H, W, ...) are zero; one pixel if all are."""
    used: np.ndarray | None = None
    for layer in layers:
        some = layer.any(axis=(0, *range(3, layer.ndim)))
        used = np.asarray(some) if used is None else np.asarray(used | some)
    assert used is not None
    rows, columns = np.flatnonzero(used.any(1)), np.flatnonzero(used.any(0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


def members_of(fields: Collection[str] | None) -> tuple[str, ...]:
    """The members that `decode_view` needs for `fields`.

    Raises:
        ValueError: a field is none of `FIELDS`.
    """
    wanted = FIELDS if fields is None else fields
    unknown = set(wanted) - set(FIELDS)
    if unknown:
        raise ValueError(f"no picture of a view: {', '.join(sorted(unknown))}")
    return ("view.npz", *dict.fromkeys(_MEMBER[name] for name in FIELDS if name in wanted))


def decode_view(members: Mapping[str, bytes], fields: Collection[str] | None = None) -> View:
    """A view from its members.

    Args:
        members: by their names behind `KEY.vN.`; those of `members_of(fields)` suffice.
        fields: the pictures that are wanted (of `FIELDS`; None is all). The others come without rows, so that a use of one fails; camera,
            up, depth_range, sun_directions, sun_radii and landmarks always come.

    Raises:
        CarveError: a picture is damaged.
        ValueError: a field is none of `FIELDS`.
    """
    numbers = unpack_arrays(members["view.npz"])
    wide, high, *optics = numbers["camera"].tolist()
    camera = Camera(int(wide), int(high), *optics)
    suns = len(numbers["sun_directions"])
    left, top, width, height = (int(n) for n in numbers["box"])
    found: dict[str, np.ndarray] = {}
    for member in members_of(fields)[1:]:
        name = member.removesuffix(".png")
        layers = len(_LABELS) + suns if name == "labels" else _FINE.get(name, 1)
        picture = _decode_png(member, members[member], (height * layers, width))
        if layers == 1 and picture.ndim == 3:
            picture = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)
        whole = np.zeros((camera.height, camera.width, *((layers,) if layers > 1 else picture.shape[2:])), picture.dtype)
        cut = whole[top : top + height, left : left + width]
        cut[...] = np.moveaxis(picture.reshape(layers, height, width), 0, -1) if layers > 1 else picture
        if name == "labels":
            planes = [np.ascontiguousarray(whole[..., k]) for k in range(len(_LABELS))]
            found |= dict(zip(_LABELS, planes, strict=True)) | {"sun_free": np.ascontiguousarray(whole[..., len(_LABELS) :])}
        elif whole.ndim == 3 and whole.shape[2] == 4 and name not in _FINE:
            found[name] = np.ascontiguousarray(whole[..., :3])
            found["coverage" if name == "albedo" else "occlusion"] = np.ascontiguousarray(whole[..., 3])
        else:
            found[name] = whole
    return View(
        camera=camera,
        up=numbers["up"],
        depth_range=(float(numbers["depth_range"][0]), float(numbers["depth_range"][1])),
        sun_directions=numbers["sun_directions"],
        sun_radii=numbers["sun_radii"],
        landmarks=numbers["landmarks"],
        **{name: found[name] if fields is None or name in fields else _absent(name, suns) for name in FIELDS},
    )


def _absent(name: str, suns: int) -> np.ndarray:
    """A picture without rows in place of a field that was not asked for."""
    if name in ("coverage", "occlusion", "depth", *_LABELS):
        return np.zeros((0, 0), np.uint16 if name == "depth" else np.uint8)
    return np.zeros((0, 0, suns if name == "sun_free" else _FINE.get(name, 3)), np.uint16 if name in _FINE else np.uint8)


def encode_png(picture: np.ndarray) -> bytes:
    """A PNG (ISO/IEC 15948) with the Up filter in every row, of (H, W), (H, W, 3) or (H, W, 4) uint8 (R, G, B, A) or of (H, W) uint16."""
    height, width = picture.shape[:2]
    depth, colour = 8 * picture.dtype.itemsize, {1: 0, 3: 2, 4: 6}[picture.shape[2] if picture.ndim == 3 else 1]
    rows = np.ascontiguousarray(picture, picture.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.data, _COMPRESSION)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return SIGNATURE + body


def _decode_png(name: str, data: bytes, size: tuple[int, int]) -> np.ndarray:
    with fence(f"The picture {name} of a view", "make or copy the data set again"):
        if size[0] * size[1] > MAX_PIXELS:
            raise OversizeError(f"has over {MAX_PIXELS // 10**6} million pixels")
        check_png(data, (size[1], size[0]))
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.shape[:2] != size:
            raise ValueError("its pixels do not fit its header")
    return picture


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An .npz without compression whose bytes depend on the arrays only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return buffer.getvalue()


def unpack_arrays(data: bytes, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays (or those of `names`) of what `pack_arrays` wrote.

    Raises:
        CarveError: the archive is damaged.
        KeyError: there is no array of that name.
    """
    with fence("The file with the arrays of a person", "make or copy the data set again"), zipfile.ZipFile(io.BytesIO(data)) as archive:
        there = [n.removesuffix(".npy") for n in archive.namelist()]
        if names is None or set(names) <= set(there):
            wanted = there if names is None else list(names)
            check_total(archive, wanted, MAX_BYTES)
            return {n: read_member(archive, n, MAX_BYTES) for n in wanted}
    raise KeyError(", ".join(sorted(set(names) - set(there))))
