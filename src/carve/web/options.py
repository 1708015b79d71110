"""Options of a job: those of `carve reconstruct`, under their names there, checked by the command line's own parser.

A job keeps them as a mapping of names to a value, a list of values or true.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from carve.app.cli import assignments, reconstruct_arguments
from carve.app.export import options_from
from carve.export.options import ExportOptions

if TYPE_CHECKING:
    from carve.io.outputs import Extra
    from carve.settings import Preset, Settings

VALUES = (
    *("preset", "person", "height", "focal", "seed", "rest", "skeleton", "prefix", "blendshapes", "triangles", "texture_size", "compress"),
    *("copyright", "vrm_name", "vrm_licence", "vrm_avatar_permission", "vrm_commercial_usage", "vrm_credit_notation", "vrm_modification"),
)
"""Options with one value."""
LISTS = ("set", "without", "vrm_author", "vrm_allow")
"""Options that may be repeated."""
FLAGS = ("cloth_bones", "vrm", "usd", "fbx", "lod", "obj", "ply")
"""Options without a value."""
OF_SETTINGS = frozenset({"person", "focal", "seed", "set", "without"})
"""Options that only the stages' own bounds can judge, which takes their packages."""
NAMES = (*VALUES, *LISTS, *FLAGS)

FieldKind = Literal["value", "list", "flag"]


@dataclass(frozen=True)
class Plan:
    """What the options ask of a run."""

    arguments: argparse.Namespace
    export: ExportOptions

    @property
    def extras(self) -> list[Extra]:
        """Formats beside GLB that the run itself writes."""
        kinds: tuple[Extra, ...] = ("obj", "ply")
        return [name for name in kinds if getattr(self.arguments, name)]

    def settings(self) -> Settings:
        """The stages' settings. Raises CarveError."""
        from carve.settings import make_settings, settled

        preset = cast("Preset | None", self.arguments.preset)
        return settled(make_settings(preset, None, assignments(self.arguments)))


def planned(options: Mapping[str, Any]) -> Plan:
    """What the options mean. Raises CarveError with the command line's own words."""
    arguments = reconstruct_arguments(words(options))
    return Plan(arguments, options_from(arguments))


def words(options: Mapping[str, Any]) -> list[str]:
    """The options as a command line: each one word, so that no value can be taken for an option. Files are not ours to name here."""
    line = ["--out=-"]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if name in FLAGS:
            line += [option] if value else []
        elif name in LISTS:
            line += [f"{option}={item}" for item in value]
        elif name in VALUES:
            line.append(f"{option}={value}")
        else:
            raise ValueError(f"no option '{name}'")
    return [*line, "--", "-"]


def merged(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a rerun: those of before, changed by what was given; an empty value takes an option back."""
    both = {**before, **given}
    return {name: value for name, value in both.items() if value not in ("", [], False, None)}
