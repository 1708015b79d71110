"""MakeHuman's own garment files: `.mhclo` (how a mesh sits on the hm08 body), `.obj` (the mesh) and `.mhmat` (its material).

The formats are those of the MakeHuman documentation ("Proxy files", "Materials"). All are lines of words; `#` begins a comment.
Notation of a `.mhclo`: vertex i of the mesh is  sum_k w_ik M[v_ik] + d_i * s  with M the shaped hm08 body in MakeHuman's axes (x left,
y up, z front; decimetres) and s_a = |M[p_a, a] - M[q_a, a]| / c_a from the line `x_scale p q c` (y, z alike).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from carve.records import CarveError

LARGEST_FILE = 256 * 2**20
"""Bytes; a larger file of an asset folder is refused before it is read."""
LARGEST_TEXT = 32 * 2**20
"""Bytes of a file of words, which takes twenty times as much when it is taken apart."""
BODY_VERTICES = 19158
"""Vertices of hm08, helpers included."""

_UNSUPPORTED = ("shear", "l_shear", "r_shear")  # MakeHuman's fits by shear matrices (mouth parts)
_SECTIONS = ("verts", "delete_verts")


@dataclass(frozen=True)
class Mhclo:
    """What one `.mhclo` says."""

    path: Path
    name: str
    obj: Path
    material: Path | None
    ref: np.ndarray
    """(V, 3) int32 hm08 vertices; a vertex that copies a body vertex names it three times."""
    weights: np.ndarray
    """(V, 3) float64."""
    offsets: np.ndarray
    """(V, 3) float64, MakeHuman axes, decimetres."""
    scale_vertices: np.ndarray
    """(3, 2) int64, one pair for x, y, z."""
    scale_denominators: np.ndarray
    """(3,) float64, decimetres."""
    delete: np.ndarray
    """(n,) int64 hm08 vertices that the garment hides, sorted."""
    z_depth: int
    tags: tuple[str, ...]
    author: str
    licence: str
    uuid: str


@dataclass(frozen=True)
class ObjMesh:
    """A triangulated Wavefront mesh."""

    vertices: np.ndarray
    """(V, 3) float64 as written."""
    faces: np.ndarray
    """(F, 3) int64."""
    uv: np.ndarray
    """(U, 2) float64, origin bottom left."""
    face_uv: np.ndarray
    """(F, 3) int64 into `uv`."""


@dataclass(frozen=True)
class Material:
    """What one `.mhmat` says that is used here."""

    diffuse: Path | None
    normal: Path | None
    transparent: bool


def read_mhclo(path: Path) -> Mhclo:
    """Read a `.mhclo`.

    Raises:
        CarveError: the file is unreadable, incomplete or malformed; the message names the file and the line.
    """
    head: dict[str, str] = {}
    tags: list[str] = []
    rows: list[tuple[list[int], list[float], list[float]]] = []
    delete: set[int] = set()
    section = ""
    for number, line in _lines(path):
        words = line.split()
        key = words[0]
        if key.startswith("#"):
            _comment(line, head)
        elif key in _SECTIONS:
            if key == "verts" and words[1:] not in ([], ["0"]):
                raise _bad(path, number, "the fit does not begin at vertex 0")
            section = key
        elif section == "verts" and _is_number(key):
            rows.append(_fit_row(path, number, words))
        elif section == "delete_verts" and _is_number(key):
            delete.update(_ranges(path, number, words))
        elif _is_number(key):
            raise _bad(path, number, "numbers stand outside the sections `verts` and `delete_verts`")
        elif key in _UNSUPPORTED or key.startswith(tuple(f"{u}_" for u in _UNSUPPORTED)):
            raise _bad(path, number, f"`{key}` is not supported; use a garment that is fitted by x_scale, y_scale and z_scale")
        elif key == "tag":
            tags += [t.strip() for t in " ".join(words[1:]).split(",") if t.strip()]
        else:
            head[key] = " ".join(words[1:])
            head[f"{key} line"] = str(number)
    if not rows:
        raise CarveError(f"{path} has no lines below `verts 0`; give a MakeHuman .mhclo with its fit.")
    offsets = np.array([r[2] for r in rows])
    scale_vertices, scale_denominators = _scales(path, head, needed=bool(offsets.any()))
    return Mhclo(
        path=path,
        name=head.get("name", path.stem),
        obj=_beside(path, head, "obj_file"),
        material=_beside(path, head, "material") if head.get("material") else None,
        ref=np.array([r[0] for r in rows], np.int32),
        weights=np.array([r[1] for r in rows]),
        offsets=offsets,
        scale_vertices=scale_vertices,
        scale_denominators=scale_denominators,
        delete=np.array(sorted(delete), np.int64),
        z_depth=_whole(path, head, "z_depth", 50),
        tags=tuple(tags),
        author=head.get("#author", ""),
        licence=head.get("#license", ""),
        uuid=head.get("uuid", ""),
    )


def read_obj(path: Path) -> ObjMesh:
    """Read vertices, texture coordinates and polygons (cut into fans of triangles) of a Wavefront file.

    Raises:
        CarveError: the file is unreadable or malformed, or a face lacks texture coordinates; the message names the file and the line.
    """
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    face_uv: list[tuple[int, int, int]] = []
    face_lines: list[int] = []
    for number, line in _lines(path):
        words = line.split()
        if words[0] == "v":
            vertices.append(_floats(path, number, words[1:4], 3))
        elif words[0] == "vt":
            uv.append(_floats(path, number, words[1:3], 2))
        elif words[0] == "f":
            corners = [_corner(path, number, word, len(vertices), len(uv)) for word in words[1:]]
            if len(corners) < 3:
                raise _bad(path, number, "a face has fewer than three corners")
            for a, b in pairwise(corners[1:]):
                triangle = (corners[0][0], a[0], b[0])
                if len(set(triangle)) == 3:  # MakeHuman writes some triangles as quads that name a corner twice
                    faces.append(triangle)
                    face_uv.append((corners[0][1], a[1], b[1]))
                    face_lines.append(number)
    if not faces:
        raise CarveError(f"{path} has no faces; export the garment's mesh again.")
    result = ObjMesh(np.array(vertices).reshape(-1, 3), np.array(faces, np.int64), np.array(uv), np.array(face_uv, np.int64))
    for what, index, count in (("vertex", result.faces, len(vertices)), ("texture coordinate", result.face_uv, len(uv))):
        wrong = ((index < 0) | (index >= count)).any(axis=1)
        if wrong.any():
            raise _bad(path, face_lines[int(np.argmax(wrong))], f"a face names a {what} that does not exist")
    return result


def read_mhmat(path: Path) -> Material:
    """Read the texture files and the transparency of a `.mhmat`.

    Raises:
        CarveError: the file is unreadable or names a texture that does not exist; the message names the file.
    """
    values: dict[str, str] = {}
    for number, line in _lines(path):
        words = line.split()
        if not words[0].startswith(("#", "//")):
            values[words[0]] = " ".join(words[1:])
            values[f"{words[0]} line"] = str(number)
    return Material(
        diffuse=_beside(path, values, "diffuseTexture") if values.get("diffuseTexture") else None,
        normal=_beside(path, values, "normalmapTexture") if values.get("normalmapTexture") else None,
        transparent=values.get("transparent", "False").lower() in ("true", "1"),
    )


def read_text(path: Path) -> str:
    """The file's text (UTF-8, replaced where it is not; old MakeHuman authors wrote Latin-1 names).

    Raises:
        CarveError: the file is missing, unreadable or over `LARGEST_FILE`.
    """
    check_size(path)
    if path.stat().st_size > LARGEST_TEXT:
        raise CarveError(f"{path} is larger than {LARGEST_TEXT // 2**20} MiB; give a smaller file.")
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise CarveError(f"{path} cannot be read ({error.strerror}); check the file.") from error


def check_size(path: Path) -> None:
    """Raise a CarveError if `path` is no file or too large to be one of an asset folder."""
    if not path.is_file():
        raise CarveError(f"{path} does not exist; complete the asset folder or leave the item out.")
    if path.stat().st_size > LARGEST_FILE:
        raise CarveError(f"{path} is larger than {LARGEST_FILE // 2**20} MiB; give a smaller file.")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and the lines that are not empty, stripped."""
    for number, line in enumerate(re.split(r"\r\n|\n|\r", read_text(path)), start=1):
        stripped = line.strip()
        if stripped:
            yield number, stripped


def _bad(path: Path, line: int, what: str) -> CarveError:
    return CarveError(f"{path}, line {line}: {what}.")


def _is_number(word: str) -> bool:
    """Whether a line that begins with `word` is meant as numbers."""
    return re.match(r"[-+]?\.?\d", word) is not None


def _comment(line: str, head: dict[str, str]) -> None:
    """Keep `# author NAME`, `# license NAME` (a colon may follow the key)."""
    match = re.match(r"#+\s*(author|license|licence)\b\s*:?\s*(.+)", line, re.IGNORECASE)
    if match:
        key = "#author" if match[1].lower() == "author" else "#license"
        head.setdefault(key, match[2].strip())


def _fit_row(path: Path, number: int, words: list[str]) -> tuple[list[int], list[float], list[float]]:
    """One line of `verts`: `v` or `v1 v2 v3 w1 w2 w3 dx dy dz`."""
    if len(words) == 1:
        v = _vertex(path, number, words[0])
        return [v, v, v], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    if len(words) != 9:
        raise _bad(path, number, f"a line of `verts` has 1 or 9 numbers, not {len(words)}")
    values = _floats(path, number, words[3:], 6)
    if abs(sum(values[:3]) - 1.0) > 1e-3:
        raise _bad(path, number, "the three weights do not add up to 1")
    return [_vertex(path, number, w) for w in words[:3]], values[:3], values[3:]


def _vertex(path: Path, number: int, word: str) -> int:
    if not word.isascii() or not word.isdigit() or int(word) >= BODY_VERTICES:
        raise _bad(path, number, f"`{word}` is no vertex of the body (0 to {BODY_VERTICES - 1})")
    return int(word)


def _ranges(path: Path, number: int, words: list[str]) -> set[int]:
    """One line of `delete_verts`: single vertices and inclusive ranges `a - b`."""
    found: set[int] = set()
    tokens = re.findall(r"-|[^\s-]+", " ".join(words))
    at = 0
    while at < len(tokens):
        first = last = _vertex(path, number, tokens[at])
        if at + 1 < len(tokens) and tokens[at + 1] == "-":
            if at + 2 == len(tokens):
                raise _bad(path, number, "a range lacks its end")
            last = _vertex(path, number, tokens[at + 2])
            at += 2
        if last < first:
            raise _bad(path, number, f"the range {first} - {last} runs backwards")
        found.update(range(first, last + 1))
        at += 1
    return found


def _scales(path: Path, head: dict[str, str], needed: bool) -> tuple[np.ndarray, np.ndarray]:
    """(3, 2) vertex pairs and (3,) denominators of x_scale, y_scale, z_scale; they may be absent where every offset is zero."""
    pairs, denominators = np.array([[5399, 11998], [791, 881], [962, 5320]]), np.ones(3)  # MakeHuman's head: any pair does there
    for axis, key in enumerate(("x_scale", "y_scale", "z_scale")):
        if key not in head:
            if needed:
                raise CarveError(f"{path} has no line `{key}`; export the garment with its scale lines.")
            continue
        number = int(head[f"{key} line"])
        words = head[key].split()
        if len(words) != 3:
            raise _bad(path, number, f"`{key}` needs two vertices and a length")
        pairs[axis] = [_vertex(path, number, w) for w in words[:2]]
        denominators[axis] = _floats(path, number, words[2:], 1)[0]
        if denominators[axis] <= 0.0 or pairs[axis, 0] == pairs[axis, 1]:
            raise _bad(path, number, f"`{key}` needs two different vertices and a positive length")
    return pairs, denominators


def _floats(path: Path, number: int, words: list[str], count: int) -> list[float]:
    try:
        values = [float(w) for w in words]
    except ValueError:
        raise _bad(path, number, f"`{' '.join(words)}` is not {count} numbers") from None
    if len(values) != count or not np.isfinite(values).all():
        raise _bad(path, number, f"`{' '.join(words)}` is not {count} finite numbers")
    return values


def _corner(path: Path, number: int, word: str, vertices: int, uvs: int) -> tuple[int, int]:
    """`v/vt` or `v/vt/vn`, counted from 1 or backwards from -1, as indices from 0 (-1 for one that is out of range)."""
    parts = word.split("/")
    if len(parts) < 2 or not parts[1]:
        raise _bad(path, number, "a face has no texture coordinates; unwrap the mesh")
    try:
        v, vt = int(parts[0]), int(parts[1])
    except ValueError:
        raise _bad(path, number, f"`{word}` is no corner of a face") from None
    return max(v - 1 if v > 0 else vertices + v if v < 0 else -1, -1), max(vt - 1 if vt > 0 else uvs + vt if vt < 0 else -1, -1)


def _beside(path: Path, values: dict[str, str], key: str) -> Path:
    """The file that `key` names, relative to `path`'s folder."""
    name = values.get(key, "")
    if not name:
        raise CarveError(f"{path} has no line `{key}`; add the name of the file.")
    found = path.parent / name.replace("\\", "/")
    if Path(name).is_absolute() or not found.is_file():
        raise _bad(path, int(values[f"{key} line"]), f"`{key} {name}` names a file that is not there")
    return found


def _whole(path: Path, head: dict[str, str], key: str, default: int) -> int:
    if key not in head:
        return default
    if not re.fullmatch(r"[-+]?\d+", head[key]):
        raise _bad(path, int(head[f"{key} line"]), f"`{key} {head[key]}` is no whole number")
    return int(head[key])
