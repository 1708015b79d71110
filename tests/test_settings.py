"""Settings: types are checked, mistakes are named, precedence holds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import pytest
from pydantic import Field

from carve.app.settings_page import field_docstrings, settings_page
from carve.bounds import Length, Rising, Share, is_bounded
from carve.records import CarveError
from carve.settings import (
    PRESET_VALUES,
    SETTINGS_OF,
    STAGES,
    Settings,
    learned_surface,
    make_settings,
    parse_assignments,
    preset_note,
    preset_settings,
    settled,
    with_values,
)


@dataclass(frozen=True)
class Inner:
    """A stage's parameters."""

    steps: int = 3
    """How many."""
    rate: float = 0.5
    height: float | None = None
    kind: Literal["soft", "hard"] = "soft"
    on: bool = True
    angles: tuple[float, ...] = (0.0, 1.0)
    label: str = "a"

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError("steps must not be negative")


@dataclass(frozen=True)
class Outer:
    """Settings."""

    seed: int = 0
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps=7", {"steps": 7}),
        ("rate=2", {"rate": 2.0}),
        ("rate=1e-3", {"rate": 1e-3}),
        ("height=1.75", {"height": 1.75}),
        ("height=none", {"height": None}),
        ("kind=hard", {"kind": "hard"}),
        ("on=false", {"on": False}),
        ("on=no", {"on": False}),
        ("angles=[1, 2.5]", {"angles": (1.0, 2.5)}),
        ("label=12", {"label": "12"}),
    ],
)
def test_text_is_read_as_the_fields_type(text: str, expected: dict[str, object]) -> None:
    changed = with_values(Outer(), parse_assignments([f"inner.{text}"]))
    assert changed == Outer(inner=dataclasses.replace(Inner(), **expected))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("inner.steps=many", "'inner.steps' cannot be 'many'"),
        ("inner.steps=2.5", "'inner.steps' cannot be"),
        ("inner.kind=loud", "'inner.kind' cannot be 'loud': input should be 'soft' or 'hard'"),
        ("inner.steps=-1", "inner: steps must not be negative"),
        ("inner.speed=1", "no setting 'inner.speed'; there are inner.angles, inner.height"),
        ("outer.steps=1", "no setting 'outer'; there are inner, seed"),
        ("inner=3", "'inner' is a group of settings"),
        ("inner.steps.more=1", "'inner.steps' is one value"),
        ("inner.steps", "not of the form stage.field=value"),
    ],
)
def test_mistakes_are_named_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(CarveError) as error:
        with_values(Outer(), parse_assignments([text]))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_assignments_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('preset = "best"\nseed = 5\n[observe]\nfocal = 900.0\nperson = 1\n')
    settings = make_settings(file=file, assignments=["observe.focal=1000"])
    assert (settings.preset, settings.seed, settings.observe.focal, settings.observe.person) == ("best", 5, 1000.0, 1)
    assert make_settings("standard", file).preset == "standard"
    assert make_settings().preset == Settings().preset == "standard"
    assert make_settings(assignments=["preset=standard"]).preset == "standard"
    assert make_settings() == Settings()


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "does not exist"), ("seed = ", "cannot be read as TOML"), ("[observe]\nx = 1\n", "observe.x"), ("preset='x'", "'preset'")],
)
def test_bad_settings_files(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "my.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CarveError, match=says):
        make_settings(file=file)


def test_presets_without_the_weights_of_learned_surfaces_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preset_note("fast") is None
    monkeypatch.setattr("carve.settings.learned_surface", lambda preset: False)
    assert all("learned surfaces are not part" in str(preset_note(preset)) for preset in ("standard", "best"))
    monkeypatch.setattr("carve.settings.learned_surface", lambda preset: True)
    assert all(preset_note(preset) is None for preset in ("standard", "best"))


def test_presets_use_a_learned_surface_if_its_weights_ship(tmp_path: Path) -> None:
    assert not learned_surface("standard", tmp_path)
    (tmp_path / "implicit.safetensors").touch()
    assert learned_surface("standard", tmp_path) and learned_surface("best", tmp_path) and not learned_surface("fast", tmp_path)


def test_best_is_finer_than_standard() -> None:
    assert preset_settings("best").clothed.resolution > preset_settings("standard").clothed.resolution  # type: ignore[operator]
    assert settled(make_settings("best", assignments=["clothed.resolution=256"])).clothed.resolution == 256


def test_a_preset_is_the_same_thing_however_it_is_chosen(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('preset = "best"\n')
    ways = [
        make_settings("best"),
        make_settings(file=file),
        make_settings(assignments=["preset=best"]),
        Settings(preset="best"),
        dataclasses.replace(make_settings("fast"), preset="best"),
        make_settings("best", assignments=["preset=fast"]),
    ]
    assert {settled(way) for way in ways} == {preset_settings("best")}
    page = tmp_path / "page.toml"
    page.write_text(settings_page())
    assert settled(make_settings("best", page)) == preset_settings("best")


def test_presets_set_only_what_waits_for_them() -> None:
    for values in PRESET_VALUES.values():
        for stage, named in values.items():
            assert all(getattr(getattr(Settings(), stage), name) is None for name in named)


def _unbounded(kind: Any, path: str = "") -> list[str]:
    hints = get_type_hints(kind, include_extras=True)
    nested = {name for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    own = [path + name for name, hint in hints.items() if name not in nested and not is_bounded(hint)]
    return own + [found for name in nested for found in _unbounded(hints[name], f"{path}{name}.")]


def test_every_setting_is_bounded_or_a_closed_choice() -> None:
    assert _unbounded(Settings) == []
    assert set(_unbounded(Outer)) == {"seed", *(f"inner.{name}" for name in ("steps", "rate", "height", "angles", "label"))}


@pytest.mark.parametrize(
    ("hint", "bounded"),
    [
        (Share, True),
        (Rising[Length], True),
        (Share | None, True),
        (Annotated[tuple[Share, ...], Field(max_length=4)], True),
        (tuple[Share, ...], False),
        (Annotated[tuple[float, ...], Field(max_length=4)], False),
        (Annotated[int, Field(ge=0)], False),
        (Annotated[int, Field(lt=3)], False),
        (Annotated[int, "ge=0"], False),
        (Share | str, False),
    ],
)
def test_what_counts_as_bounded(hint: Any, bounded: bool) -> None:
    assert is_bounded(hint) is bounded


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed=-1", "'seed' cannot be -1"),
        (f"seed={'9' * 5000}", "'seed' cannot be '999"),
        ("observe.person=-1", "'observe.person'"),
        ("observe.focal=nan", "'observe.focal'"),
        ("observe.focal=1e400", "'observe.focal'"),
        ("observe.focal=true", "not a yes or no"),
        ("observe.scales=[]", "'observe.scales'"),
        ("fit_body.height=17.5", "give metres (1.75"),
        ("fit_body.steps=0", "'fit_body.steps'"),
        ("texture.size=1000000", "'texture.size'"),
        (f"texture.size={'[' * 100000}", "'texture.size'"),
        ("clothed.loose=[0.2, 0.1]", "the first value must be below the second"),
        ("clothed.resolution=300", "'clothed.resolution'"),
    ],
)
def test_values_out_of_bounds_are_one_sentence(text: str, says: str) -> None:
    with pytest.raises(CarveError) as error:
        make_settings(assignments=[text])
    assert says in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_settings_made_in_python_are_checked_too() -> None:
    wrong = dataclasses.replace(Settings(), fit_body=dataclasses.replace(Settings().fit_body, steps=-3))
    with pytest.raises(CarveError, match=r"'fit_body\.steps' cannot be -3"):
        settled(wrong)
    centimetres = dataclasses.replace(Settings(), fit_body=dataclasses.replace(Settings().fit_body, height=175))
    assert settled(centimetres).fit_body.height == pytest.approx(1.75)


def test_every_stage_has_its_parameters() -> None:
    assert {f.name for f in dataclasses.fields(Settings)} == {"preset", "seed", "clothed", "worn", *STAGES} - set(SETTINGS_OF)


def test_the_printed_settings_are_a_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "all.toml"
    file.write_text(settings_page())
    assert make_settings(file=file) == Settings()


def test_every_setting_says_what_it_means() -> None:
    assert field_docstrings(Inner) == {"steps": "How many."}
    groups = ["clothed", "worn", *(stage for stage in STAGES if stage not in SETTINGS_OF)]
    for kind in (Settings, *(type(getattr(Settings(), group)) for group in groups)):
        undocumented = {f.name for f in dataclasses.fields(kind)} - set(field_docstrings(kind)) - set(groups)
        assert not undocumented, f"{kind.__module__}: {undocumented}"
