"""Reading an asset folder: garments, skins, eyes, surroundings, fabrics and motions, checked before anything uses them.

Two layouts are understood, also mixed: carve's own (`garments/NAME/` with garment.npz and meta.json, `skins/skins.json`,
`fabrics/fabrics.json`, `hdri/`, `backgrounds/`, `poses/`, `licences.csv`) and MakeHuman's data folder (`clothes/`, `hair/`, `eyebrows/`,
`eyelashes/`, `eyes/` with NAME/NAME.mhclo, `skins/NAME/*.mhmat`). A folder `garments/NAME/` may hold a .mhclo in place of garment.npz.
"""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from carve.files.arrays import read_member
from carve.files.fence import fence
from carve.files.text import parse_json
from carve.records import CarveError
from carve.synth.assets.mhclo import BODY_VERTICES, LARGEST_FILE, Mhclo, check_size, read_mhclo, read_mhmat, read_obj, read_text

Kind = Literal["top", "bottom", "dress", "coat", "suit", "shoes", "hat", "hair", "accessory", "eyebrows", "eyelashes", "eyes"]
Gender = Literal["female", "male", "unisex"]
Poses = Literal["any", "no_leg_lift", "standing"]
Item = TypeVar("Item")

WEIGHT_TOLERANCE = 1e-3
"""How far a vertex's three weights may be from adding up to 1 (the files have four or five digits)."""
_IMAGES = (".webp", ".jpg", ".jpeg", ".png")
_MAKEHUMAN: dict[str, Kind | None] = {"clothes": None, "hair": "hair", "eyebrows": "eyebrows", "eyelashes": "eyelashes", "eyes": "eyes"}
"""MakeHuman's folders with .mhclo files and the kind that each implies."""

_WORDS: dict[Kind, str] = {
    "eyebrows": "eyebrow eyebrows brow brows",
    "eyelashes": "eyelash eyelashes lash lashes",
    "eyes": "eye eyes eyeball eyeballs",
    "hair": "hair wig ponytail braid braids bob afro pigtails bun hairstyle",
    "coat": "coat overcoat trenchcoat jacket parka cloak cape poncho anorak",
    "suit": "suit jumpsuit overall overalls uniform outfit onesie coverall romper dungarees",
    "dress": "dress gown tunic robe kimono frock sundress",
    "bottom": "pants trousers jeans shorts skirt leggings slacks chinos joggers",
    "shoes": "shoe shoes boot boots sneaker sneakers sandal sandals heels flats slippers loafers pumps",
    "hat": "hat hats cap helmet beanie fedora crown beret bonnet turban",
    "accessory": "glasses sunglasses goggles necklace watch belt bag backpack earring earrings glove gloves scarf tie bracelet sash",
    "top": "shirt shirts top tops tanktop croptop tee tshirt blouse sweater hoodie vest pullover jersey polo cardigan camisole turtleneck",
}
"""Words that tell the kind; a word that ends in one counts too (`miniskirt`)."""
_LAYERS: dict[Kind, int] = {"eyes": 0, "eyebrows": 1, "eyelashes": 1, "shoes": 4, "coat": 5, "hair": 6, "accessory": 7, "hat": 8}
"""Layers of the kinds that have one; the others' follows from the z_depth."""


@dataclass(frozen=True)
class GarmentAsset:
    """One garment, hair style or pair of eyes as it sits on any hm08 body.

    With M (19158, 3) the shaped, unposed body in MakeHuman axes (x left, y up, z front) and decimetres,
    s_a = |M[scale_vertices[a, 0], a] - M[scale_vertices[a, 1], a]| / scale_denominators[a], vertex v is
    sum_k ref_weights[v, k] M[ref[v, k]] + offsets[v] * s.
    """

    name: str
    """The folder's name."""
    folder: Path
    kind: Kind
    ref: np.ndarray
    """(V, 3) int32 vertices of hm08, 0 to 19157; those from 13380 on are helpers."""
    ref_weights: np.ndarray
    """(V, 3) float64, may be negative, rows add up to 1."""
    offsets: np.ndarray
    """(V, 3) float64, MakeHuman axes, decimetres, before the scale."""
    scale_vertices: np.ndarray
    """(3, 2) int64 hm08 vertices for x, y, z."""
    scale_denominators: np.ndarray
    """(3,) float64 decimetres."""
    faces: np.ndarray
    """(F, 3) int64."""
    uv: np.ndarray
    """(U, 2) float64 texture coordinates, origin BOTTOM left as in the files (v counts up; flip it for glTF and image rows)."""
    face_uv: np.ndarray
    """(F, 3) int64 into `uv`."""
    hidden: np.ndarray
    """(n,) int64 hm08 vertices that the garment covers, sorted."""
    layer: int
    """0 eyes, 1 underlayer and brows, 2 tight, 3 normal, 4 shoes or wide skirt, 5 coat, 6 hair, 7 glasses, 8 hat."""
    gender: Gender
    adult_only: bool
    """Only for adult bodies."""
    poses: Poses
    """Poses in which skinning without simulation looks right."""
    alpha: bool
    """The diffuse texture's alpha channel cuts the mesh out."""
    defects: str
    licence: str
    author: str
    source: str
    diffuse: Path | None
    normal: Path | None
    """Tangent-space normal map."""


@dataclass(frozen=True)
class SkinAsset:
    """One texture of the bare body in hm08's UVs."""

    path: Path
    size: int
    """Pixels along a side; 0 where the folder does not say."""
    full: bool
    """In the author's full resolution."""
    underwear: bool
    """A suit is painted on."""


@dataclass(frozen=True)
class FabricAsset:
    """One tile of cloth."""

    path: Path
    feathered: bool
    """The tile's borders were blended so that it repeats."""
    mean: tuple[int, int, int]
    """Mean colour, sRGB."""


@dataclass(frozen=True)
class Licence:
    """One row of licences.csv."""

    asset: str
    """A path below the root, with `*` for many."""
    licence: str
    author: str
    source: str


@dataclass(frozen=True)
class Assets:
    """Everything that a folder offers, by name (a file's name without its ending), in the names' order."""

    root: Path
    garments: dict[str, GarmentAsset]
    skins: dict[str, SkinAsset]
    eyes: dict[str, Path]
    """Textures for the garment of kind `eyes`."""
    hdris: dict[str, Path]
    """Equirectangular radiance maps."""
    backgrounds: dict[str, Path]
    fabrics: dict[str, FabricAsset]
    motions: dict[str, Path]
    """BVH files."""
    licences: tuple[Licence, ...]
    refused: dict[str, str]
    """Names of garments that were left out, with the reason."""


def no_assets() -> Assets:
    """Nothing at all: people in tailor's garments of plain cloth need none."""
    return Assets(Path("no-assets"), {}, {}, {}, {}, {}, {}, {}, (), {})


def read_assets(root: Path, skip_bad: bool = False) -> Assets:
    """Read and check an asset folder.

    Args:
        root: the folder (see the module's head for the layouts).
        skip_bad: leave unusable garments out and list them in `refused`.

    Raises:
        CarveError: the folder has no garments, or one is malformed and `skip_bad` is false; the message names the file.
    """
    garments: dict[str, GarmentAsset] = {}
    refused: dict[str, str] = {}
    for name, read in _garment_readers(root):
        try:
            if name in garments or name in refused:
                raise CarveError(f"Two garments below {root} are called {name}; rename one.")
            with fence(f"The garment {name} below {root}", "export it again or remove it"):
                garments[name] = read()
        except CarveError as error:
            if not skip_bad:
                raise
            refused.setdefault(name, str(error))
    if not garments:
        first = next(iter(refused.values()), "it is empty")
        raise CarveError(f"{root} has no usable garment ({first.rstrip('.')}); give a folder with at least one.")
    with fence(f"The asset folder {root}", "complete it"):
        return _assets(root, garments, refused)


def _assets(root: Path, garments: dict[str, GarmentAsset], refused: dict[str, str]) -> Assets:
    return Assets(
        root=root,
        garments=dict(sorted(garments.items())),
        skins=_skins(root / "skins"),
        eyes=_files(root / "eyes", _IMAGES) | _files(root / "eyes" / "materials", _IMAGES),
        hdris=_files(root / "hdri", (".hdr",)),
        backgrounds=_files(root / "backgrounds", _IMAGES),
        fabrics=_fabrics(root / "fabrics"),
        motions=_files(root / "poses", (".bvh",), deep=True),
        licences=_licences(root / "licences.csv"),
        refused=refused,
    )


def read_garment(folder: Path) -> GarmentAsset:
    """Read one folder with garment.npz and meta.json, or with a .mhclo, its .obj and an optional meta.json.

    Raises:
        CarveError: a file is missing or malformed; the message names it.
    """
    if (folder / "garment.npz").is_file():
        return _from_npz(folder)
    found = sorted(folder.glob("*.mhclo"))
    chosen = [p for p in found if p.stem == folder.name] if len(found) > 1 else found
    if not chosen:
        raise CarveError(f"{folder} holds neither garment.npz nor one .mhclo; complete the folder or remove it.")
    return garment_from_mhclo(chosen[0], folder.name)


def garment_from_mhclo(path: Path, name: str, kind: Kind | None = None) -> GarmentAsset:
    """A garment from MakeHuman's files.

    Kind, layer and gender are not in a .mhclo: they follow from `kind` (what the folder above implies) or from the words of the name, of
    the file and of the tags, and from the z_depth. A meta.json beside it overrides each of them.

    Raises:
        CarveError: a file is missing or malformed, or nothing tells the kind; the message names the file.
    """
    fit = read_mhclo(path)
    mesh = read_obj(fit.obj)
    if len(mesh.vertices) != len(fit.ref):
        raise CarveError(f"{path} fits {len(fit.ref)} vertices but {fit.obj} has {len(mesh.vertices)}; export both together.")
    material = read_mhmat(fit.material) if fit.material else None
    derived = _meta_of_mhclo(fit, name, kind)
    beside = path.parent / "meta.json"
    meta_path = beside if beside.is_file() else path
    meta = derived | (_json_object(beside) if beside.is_file() else {})
    if meta.get("kind") is None:
        raise CarveError(f'{path} does not tell what it is; add a meta.json beside it with "kind": one of {", ".join(get_args(Kind))}.')
    if material and "alpha" not in meta:
        meta["alpha"] = material.transparent
    return GarmentAsset(
        name=name,
        folder=path.parent,
        ref=fit.ref,
        ref_weights=fit.weights,
        offsets=fit.offsets,
        scale_vertices=fit.scale_vertices,
        scale_denominators=fit.scale_denominators,
        faces=mesh.faces,
        uv=mesh.uv,
        face_uv=mesh.face_uv,
        hidden=fit.delete,
        diffuse=_texture(path.parent, meta, meta_path, "diffuse") or (material.diffuse if material else None),
        normal=_texture(path.parent, meta, meta_path, "normal") or (material.normal if material else None),
        **_checked_meta(meta, meta_path),
    )


def kind_from_words(words: list[str]) -> Kind | None:
    """The kind that the last telling word names (English puts the noun last: `JeansSkirt` is a skirt), or None."""
    for word in reversed(words):
        for exact in (True, False):
            for kind, known in _WORDS.items():
                if any(word == k if exact else len(k) > 3 and word.endswith(k) for k in known.split()):
                    return kind
    return None


def _garment_readers(root: Path) -> Iterator[tuple[str, Callable[[], GarmentAsset]]]:
    """Names and readers of every garment below the root, in a fixed order."""
    own, foreign = root / "garments", [f for f in _MAKEHUMAN if (root / f).is_dir()]
    if not own.is_dir() and not foreign:
        raise CarveError(f"{root} has no folder garments/ (nor MakeHuman's clothes/, hair/); give the root of an asset folder.")
    if own.is_dir():
        for folder in sorted(p for p in own.iterdir() if p.is_dir()):
            yield folder.name, partial(read_garment, folder)
    for top in foreign:
        for path in sorted((root / top).rglob("*.mhclo")):
            yield path.stem, partial(garment_from_mhclo, path, path.stem, _MAKEHUMAN[top])


def _from_npz(folder: Path) -> GarmentAsset:
    path, meta_path = folder / "garment.npz", folder / "meta.json"
    arrays = _read_npz(path)
    vertices = len(_take(arrays, path, "ref", "iu", (None, 3)))
    values = {
        "ref": _indices(arrays, path, "ref", (vertices, 3), BODY_VERTICES),
        "weights": _numbers(arrays, path, "weights", (vertices, 3)),
        "offsets": _numbers(arrays, path, "offsets", (vertices, 3)),
        "scale_verts": _indices(arrays, path, "scale_verts", (3, 2), BODY_VERTICES),
        "scale_den": _numbers(arrays, path, "scale_den", (3,)),
        "uv": _numbers(arrays, path, "uv", (None, 2)),
        "faces": _indices(arrays, path, "faces", (None, 3), vertices),
        "delete": _indices(arrays, path, "delete", (None,), BODY_VERTICES),
    }
    values["face_uv"] = _indices(arrays, path, "face_uv", values["faces"].shape, len(values["uv"]))
    if "delete_auto" in arrays:
        values["delete"] = np.concatenate([values["delete"], _indices(arrays, path, "delete_auto", (None,), BODY_VERTICES)])
    if not vertices or not len(values["faces"]):
        raise CarveError(f"{path} has no vertices or no faces; export the garment again.")
    if np.abs(values["weights"].sum(axis=1) - 1.0).max() > WEIGHT_TOLERANCE:
        raise CarveError(f"{path}: the rows of `weights` do not add up to 1; export the garment again.")
    if (values["scale_den"] <= 0.0).any():
        raise CarveError(f"{path}: `scale_den` is not positive; export the garment again.")
    meta = _json_object(meta_path)
    return GarmentAsset(
        name=folder.name,
        folder=folder,
        ref=values["ref"].astype(np.int32),
        ref_weights=values["weights"],
        offsets=values["offsets"],
        scale_vertices=values["scale_verts"],
        scale_denominators=values["scale_den"],
        faces=values["faces"],
        uv=values["uv"],
        face_uv=values["face_uv"],
        hidden=np.unique(values["delete"]),
        diffuse=_texture(folder, meta, meta_path, "diffuse"),
        normal=_texture(folder, meta, meta_path, "normal"),
        **_checked_meta(meta, meta_path),
    )


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    check_size(path)
    with fence(f"The file {path}", "export the garment again"), zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > LARGEST_FILE:  # a small file may unpack to a huge one
            raise CarveError(f"{path} unpacks to more than {LARGEST_FILE // 2**20} MiB; give a smaller garment.")
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        return {name: read_member(archive, name, LARGEST_FILE) for name in names}


def _take(arrays: Mapping[str, np.ndarray], path: Path, name: str, kinds: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """The array after a check of its presence, dtype kind and shape (None is any length)."""
    if name not in arrays:
        raise CarveError(f"{path} lacks the array `{name}`; export the garment again.")
    array = arrays[name]
    if array.dtype.kind not in kinds:
        raise CarveError(
            f"{path}: `{name}` holds {array.dtype}, not {'whole numbers' if 'i' in kinds else 'floats'}; export the garment again."
        )
    if array.ndim != len(shape) or any(w is not None and w != h for w, h in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise CarveError(f"{path}: `{name}` has the shape {array.shape}, not ({wanted}); export the garment again.")
    return array


def _indices(arrays: Mapping[str, np.ndarray], path: Path, name: str, shape: tuple[int | None, ...], count: int) -> np.ndarray:
    array = _take(arrays, path, name, "iu", shape)
    if array.size and (array.min() < 0 or array.max() >= count):
        raise CarveError(f"{path}: `{name}` has an index outside 0 to {count - 1}; export the garment again.")
    return array.astype(np.int64)


def _numbers(arrays: Mapping[str, np.ndarray], path: Path, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    array = _take(arrays, path, name, "f", shape).astype(np.float64)
    if not np.isfinite(array).all():
        raise CarveError(f"{path}: `{name}` holds NaN or infinity; export the garment again.")
    return array


def _json_value(path: Path) -> Any:
    text = read_text(path)
    with fence(f"The file {path}", "mend the file"):
        try:
            return parse_json(text)
        except ValueError as error:
            raise CarveError(f"{path} is not JSON ({error}); mend the file.") from error


def _json_object(path: Path) -> dict[str, Any]:
    value = _json_value(path)
    if not isinstance(value, dict):
        raise CarveError(f"{path} is not a JSON object; mend the file.")
    return value


def _checked_meta(meta: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The fields of GarmentAsset that meta.json gives."""

    def choice(key: str, options: tuple[str, ...], default: str | None = None) -> str:
        value = meta.get(key, default)
        if value not in options:
            raise CarveError(f'{path}: "{key}" is {json.dumps(value)}; use one of {", ".join(options)}.')
        return str(value)

    def typed(key: str, kind: type[Item], default: Item) -> Item:
        value = meta.get(key, default)
        if type(value) is not kind:
            raise CarveError(f'{path}: "{key}" is {json.dumps(value)}; use a value of type {kind.__name__}.')
        return value

    if "layer" not in meta:
        raise CarveError(f'{path} lacks "layer"; add a whole number from 0 (innermost) to 8.')
    layer = typed("layer", int, 0)
    if not 0 <= layer <= 8:
        raise CarveError(f'{path}: "layer" is {layer}; use a whole number from 0 (innermost) to 8.')
    return {
        "kind": choice("kind", get_args(Kind)),
        "layer": layer,
        "gender": choice("gender", get_args(Gender), "unisex"),
        "poses": choice("poses", get_args(Poses), "any"),
        "adult_only": typed("adult_only", bool, False),
        "alpha": typed("alpha", bool, False),
        **{key: typed(key, str, "") for key in ("defects", "licence", "author", "source")},
    }


def _texture(folder: Path, meta: Mapping[str, Any], path: Path, key: str) -> Path | None:
    """The file beside meta.json that it names under `key`."""
    name = meta.get(key)
    if name is None:
        return None
    if not isinstance(name, str) or Path(name).name != name:
        raise CarveError(f'{path}: "{key}" is {json.dumps(name)}; use the name of a file in the same folder, or null.')
    check_size(folder / name)
    return folder / name


def _words_of(text: str) -> list[str]:
    """Lower-case words of a name in snake_case, CamelCase or with digits; a second item behind `and` or `with` is left out."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text.replace("t-shirt", "tshirt").replace("T-shirt", "tshirt"))
    words = [p.lower() for p in parts]
    cut = next((i for i, w in enumerate(words) if w in ("and", "with") and i), len(words))
    return words[:cut]


def _meta_of_mhclo(fit: Mhclo, name: str, kind: Kind | None) -> dict[str, Any]:
    """What the words and numbers of a .mhclo tell, as meta.json would say it."""
    sources = [_words_of(name), _words_of(fit.name), *[_words_of(t) for t in fit.tags]]
    told = kind or next((k for k in map(kind_from_words, sources) if k), None)
    return {
        "kind": told,
        "layer": _layer(told, fit.z_depth) if told else 3,
        "gender": _gender({w for source in sources for w in source}),
        "licence": fit.licence,
        "author": fit.author,
        "source": f"MakeHuman asset {fit.uuid}".strip(),
    }


def _layer(kind: Kind, z_depth: int) -> int:
    """The kind's layer; clothes on the trunk by MakeClothes' depths: 39 underwear, 43 stockings, 47 shirts and trousers, more above."""
    if kind in _LAYERS:
        return _LAYERS[kind]
    return 1 if z_depth <= 39 else 2 if z_depth <= 43 else 3


def _gender(words: set[str]) -> Gender:
    female, male = bool(words & {"female", "woman", "women", "girl", "ladies"}), bool(words & {"male", "man", "men", "boy", "gentlemen"})
    return "unisex" if female == male else "female" if female else "male"


def _files(folder: Path, endings: tuple[str, ...], deep: bool = False) -> dict[str, Path]:
    """Files by stem; a folder that does not exist has none."""
    if not folder.is_dir():
        return {}
    found = folder.rglob("*") if deep else folder.iterdir()
    return {p.stem: p for p in sorted(found) if p.suffix.lower() in endings and p.is_file()}


def _listed(path: Path, convert: Callable[[Path, dict[str, Any]], Item]) -> dict[str, Item]:
    """Entries of a JSON list of objects with "file", by the file's stem."""
    entries = _json_value(path)
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("file"), str) for e in entries):
        raise CarveError(f'{path} is no list of objects with "file"; mend the file.')
    result: dict[str, Item] = {}
    for entry in entries:
        file = path.parent / entry["file"]
        check_size(file)
        try:
            result[file.stem] = convert(file, entry)
        except (KeyError, TypeError, ValueError) as error:
            raise CarveError(f"{path}: the entry of {entry['file']} is malformed ({error}); mend the file.") from error
    return dict(sorted(result.items()))


def _skins(folder: Path) -> dict[str, SkinAsset]:
    if (folder / "skins.json").is_file():
        return _listed(
            folder / "skins.json", lambda p, e: SkinAsset(p, int(e["size"]), bool(e.get("full", False)), bool(e.get("underwear", False)))
        )
    found: dict[str, SkinAsset] = {}
    for path in sorted(folder.rglob("*.mhmat")) if folder.is_dir() else []:
        texture = read_mhmat(path).diffuse
        if texture is not None:
            found[path.stem] = SkinAsset(texture, 0, False, "suit" in _words_of(path.stem))
    return found


def _fabrics(folder: Path) -> dict[str, FabricAsset]:
    if not (folder / "fabrics.json").is_file():
        return {}

    def fabric(path: Path, entry: dict[str, Any]) -> FabricAsset:
        red, green, blue = (int(c) for c in entry["mean"])
        return FabricAsset(path, bool(entry.get("feathered", False)), (red, green, blue))

    return _listed(folder / "fabrics.json", fabric)


def _licences(path: Path) -> tuple[Licence, ...]:
    if not path.is_file():
        return ()
    rows = list(csv.DictReader(read_text(path).splitlines()))
    columns = ("asset", "licence", "author", "source")
    if not all(isinstance(row.get(c), str) for row in rows for c in columns):
        raise CarveError(f"{path} needs the columns {', '.join(columns)} in every row; mend the file.")
    return tuple(Licence(row["asset"], row["licence"], row["author"], row["source"]) for row in rows)
