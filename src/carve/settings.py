"""Every stage's parameters in one frozen object; presets, settings files, `--set stage.field=value`.

Precedence, weakest first: preset, settings file, `--set`. What a preset decides is None until `settled` fills it in, so that it follows the
preset wherever that was chosen; `settled` also checks every value against its field's bounds, whoever made the settings.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from carve.files.text import read_toml
from carve.networks.weights import FOLDER
from carve.records import CarveError
from carve.stages import canonical, clothed, fit_body, fit_face, normals, observe, refine, rig, texture, worn

Preset = Literal["fast", "standard", "best"]
"""`fast` uses no learned surface; `standard` and `best` use one, `best` at a finer resolution. Without its weights they equal `fast`."""

StageName = Literal["observe", "fit_body", "evidence", "refit_body", "fit_face", "normals", "canonical", "refine", "texture", "rig"]
"""The stages in the order in which they run."""

STAGES: tuple[StageName, ...] = get_args(StageName)

BackStage = Literal["observe_back", "back"]
"""The stages of a back photo, which run only where one is given."""

BESIDE: dict[BackStage, StageName] = {"observe_back": "observe", "back": "refine"}
"""After which of the others they come."""

SETTINGS_OF: dict[StageName, StageName] = {"evidence": "normals", "refit_body": "fit_body"}
"""Stages that go by another's settings: the same work done once more."""

Params = TypeVar("Params")


@dataclass(frozen=True)
class Settings:
    """All settings of a reconstruction."""

    preset: Preset = "standard"
    """Speed against quality."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of every random number; the same seed and input give the same avatar."""
    observe: observe.Params = field(default_factory=observe.Params)
    fit_body: fit_body.Params = field(default_factory=fit_body.Params)
    fit_face: fit_face.Params = field(default_factory=fit_face.Params)
    normals: normals.Params = field(default_factory=normals.Params)
    worn: worn.Params = field(default_factory=worn.Params)
    canonical: canonical.Params = field(default_factory=canonical.Params)
    clothed: clothed.Params = field(default_factory=clothed.Params)
    refine: refine.Params = field(default_factory=refine.Params)
    texture: texture.Params = field(default_factory=texture.Params)
    rig: rig.Params = field(default_factory=rig.Params)


PRESET_VALUES: dict[Preset, dict[str, dict[str, Any]]] = {
    "fast": {"clothed": {"resolution": 256}},
    "standard": {"clothed": {"resolution": 256}},
    "best": {"clothed": {"resolution": 384}},
}
"""What each preset puts into fields that are None: stage -> field -> value."""


def settled(settings: Settings) -> Settings:
    """The settings with the preset's values where they are None, all checked. Raises CarveError, which names the setting."""
    settings = with_values(settings, as_values(settings))
    follow = {
        stage: {name: value for name, value in values.items() if getattr(getattr(settings, stage), name) is None}
        for stage, values in PRESET_VALUES[settings.preset].items()
    }
    return with_values(settings, follow)


def preset_settings(preset: Preset) -> Settings:
    """The settings that a preset stands for."""
    return settled(Settings(preset=preset))


def as_values(settings: Any) -> dict[str, Any]:
    """Field -> value of a dataclass, nested dataclasses as dicts."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {name: as_values(value) if is_dataclass(value) else value for name, value in values.items()}


def learned_surface(preset: Preset, folder: Path = FOLDER) -> bool:
    """Whether the preset's canonical surface is the implicit network's (`clothed`), not the unlearned one (`canonical`)."""
    return preset != "fast" and (folder / "implicit.safetensors").exists()


def preset_note(preset: Preset) -> str | None:
    """What the user of a preset must know, if anything."""
    if preset == "fast" or learned_surface(preset):
        return None
    return f"The preset '{preset}' ran the stages of 'fast': learned surfaces are not part of this version."


def with_values(base: Params, values: Mapping[str, Any], path: str = "") -> Params:
    """A copy of the dataclass `base` with nested `values` put in, each checked against its field's annotation.

    Text is read as the field's type (`"0.5"`, `"true"`, `"none"`), so that command lines and files go the same way.
    """
    kind: Any = type(base)
    hints = _hints(kind)
    known = {f.name for f in fields(base)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for name, value in values.items():
        where = f"{path}{name}"
        if name not in known:
            raise CarveError(f"There is no setting '{where}'; there are {', '.join(path + k for k in sorted(known))}.")
        current = getattr(base, name)
        if is_dataclass(current):
            if not isinstance(value, Mapping):
                raise CarveError(f"'{where}' is a group of settings; set one of its fields, such as {where}.{fields(current)[0].name}.")
            changes[name] = with_values(current, value, f"{where}.")
        else:
            changes[name] = checked(hints[name], value, where)
    try:
        return dataclasses.replace(base, **changes)  # type: ignore[type-var]
    except ValueError as error:
        raise CarveError(f"{path.rstrip('.') or 'settings'}: {error}.") from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Field -> annotation of a dataclass."""
    return get_type_hints(kind, include_extras=True)


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    """The checker of an annotation: making one takes longer than asking it."""
    return TypeAdapter(hint)


def checked(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type `hint`, or a CarveError that names the setting `where`."""
    if isinstance(value, Mapping):
        raise CarveError(f"'{where}' is one value, not a group of settings.")
    if isinstance(value, str):
        value = _literal(hint, value)
    try:
        if isinstance(value, bool) and bool not in _kinds(hint):
            raise ValueError("this setting is not a yes or no")
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise CarveError(f"'{where}' cannot be {_shown(value)}: {reason[0].lower()}{reason[1:]}.") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise CarveError(f"'{where}' cannot be {_shown(value)}: {error}.") from error


def _shown(value: Any) -> str:
    """A value in an error's one line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "so large a value"
    return text if len(text) <= 60 else text[:57] + "..."


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The plain types in an annotation such as ``Annotated[float, ...] | None``; a closed choice gives its values."""
    options = get_args(hint) if get_origin(hint) is not Annotated else get_args(hint)[:1]
    return tuple(kind for option in options for kind in _kinds(option)) if options and get_origin(hint) is not tuple else (hint,)


def _literal(hint: Any, text: str) -> Any:
    """Command-line text as the Python value that it stands for, where the type `hint` is not text."""
    kinds = _kinds(hint)
    if type(None) in kinds and text.lower() in ("none", "null", ""):
        return None
    if str in kinds or text in kinds:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """`["texture.size=1024"]` to `{"texture": {"size": "1024"}}`."""
    tree: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        *groups, name = key.strip().split(".")
        if not equals or not name:
            raise CarveError(f"'{assignment}' is not of the form stage.field=value.")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
            if not isinstance(branch, dict):
                raise CarveError(f"'{assignment}' sets a field of '{group}', which was given a value of its own.")
        branch[name] = value.strip()
    return tree


def read_settings_file(path: Path) -> dict[str, Any]:
    """A TOML file with a table for each stage, such as ``[texture]`` / ``size = 1024``."""
    return read_toml(path, f"The settings file {path}")


def make_settings(preset: Preset | None = None, file: Path | None = None, assignments: Sequence[str] = ()) -> Settings:
    """The preset (as argued, assigned, in the file, else `standard`), then the file's values, then the assignments; see `settled`."""
    values = [read_settings_file(file) if file else {}, parse_assignments(assignments)]
    if preset is not None:
        values.append({"preset": preset})
    settings = Settings()
    for given in values:
        settings = with_values(settings, given)
    return settings
