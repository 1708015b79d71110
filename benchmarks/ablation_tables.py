"""The tables of docs/results.md and its picture from ablation.json, the tables of single choices from ablation_choices.json.

    python benchmarks/ablation_tables.py

Everything between the marks in docs/results.md is replaced; the text around them stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from carve.evaluate.metrics import interval

HERE = Path(__file__).parent
RESULTS, SINGLE = HERE / "ablation.json", HERE / "ablation_choices.json"
PAGE = HERE.parent / "docs" / "results.md"
PICTURE = HERE.parent / "docs" / "pictures" / "ablation.png"
BASELINES = ("PIFu", "PIFuHD", "PaMIR", "ICON", "ARCH", "ARCH++", "CAR", "carve")
GEOMETRY = ("CAR, no geometry", "CAR, joints", "CAR, body distance", "CAR", "carve")
CHOICES = ("CAR", "CAR, occupancy", "CAR, posed")
FIELDS = ("CAR", "CAR, field 1/2", "CAR, field 1/4")
FIGURES = {"chamfer_cm": "Chamfer", "p2s_cm": "P2S", "normal": "normal", "angle_deg": "angle"}
DIGITS = {"chamfer_cm": 2, "p2s_cm": 2, "normal": 4, "angle_deg": 1}
TRACKS = {"true": "true bodies, true normals", "fitted": "fitted bodies, predicted normals"}
GEOMETRIES = {
    "none": "-",
    "joints": "joints",
    "surface": "code of the surface",
    "body_sdf": "body's distance",
    "canonical_normal": "normal",
}
MARKS = ("<!-- tables -->", "<!-- end of tables -->")
SINGLE_MARKS = ("<!-- tables of choices -->", "<!-- end of tables of choices -->")


def of(rows: Iterable[Mapping[str, Any]], track: str, kind: str, figure: str) -> dict[str, list[float]]:
    """Person to one figure of each of their photographs on a track; NaN where there was no surface."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["track"] == track and kind in row:
            found.setdefault(row["key"].split(".")[0], []).append(row[kind][figure] if row[kind] else np.nan)
    return found


def cells(rows: list[dict[str, Any]], track: str, kind: str = "plain", firsts: bool = False) -> list[str]:
    """Means of the figures, Chamfer with its 95 % interval over people; of the first photograph of each person alone, if asked."""
    kept = [r for r in rows if not firsts or r["key"] in first_views(r["key"] for r in rows)]
    out: list[str] = []
    for figure in FIGURES:
        values = of(kept, track, kind, figure).values()
        middle, low, high = interval([np.nanmean(own) for own in values if not np.isnan(own).all()], "mean")
        lost = int(sum(np.isnan(own).sum() for own in values))
        digits = DIGITS[figure]
        text = f"{middle:.{digits}f}" + (f" ({low:.{digits}f}-{high:.{digits}f})" if figure == "chamfer_cm" else "")
        out.append(text + (f", {lost} without a surface" if lost and not out else ""))
    return out


def first_views(keys: Iterable[str]) -> set[str]:
    """The first photograph (KEY.vN) of each person."""
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault(key.split(".")[0], key)
    return set(first.values())


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines)) + "\n"


def tables(found: Mapping[str, Any]) -> str:
    """All tables, in Markdown."""
    variants, out = found["variants"], []

    def there(names: Iterable[str]) -> list[str]:
        return [name for name in names if name in variants]

    def described(name: str) -> list[str]:
        a = variants[name]["architecture"]
        return [name, a["space"], a["representation"]]

    for track, words in TRACKS.items():
        lines = [["naked body", "-", "-", *cells(found["body"], track)]]
        lines += [[*described(name), *cells(variants[name]["rows"], track)] for name in there(BASELINES)]
        if len(lines) < 3:
            continue
        out.append(f"### Models, {words}\n\n" + table(["method", "space", "representation", *FIGURES.values()], lines))
    head = [*FIGURES.values(), *(f"{v} (fitted)" for v in FIGURES.values())]

    def both(rows: list[dict[str, Any]], kind: str = "plain", firsts: bool = False) -> list[str]:
        return [*cells(rows, "true", kind, firsts), *cells(rows, "fitted", kind, firsts)]

    geometry = lambda name: GEOMETRIES.get(variants[name]["architecture"]["geometry"], "distance and normal")  # noqa: E731
    groups: list[tuple[str, list[str], list[list[str]]]] = []
    lines = [[geometry(name), *both(variants[name]["rows"])] for name in there(GEOMETRY)]
    groups.append(("What a point knows of the body", ["geometry"], lines))
    lines = [[*described(name)[1:], *both(variants[name]["rows"])] for name in there(CHOICES)]
    groups.append(("Space and representation of CAR's model", ["space", "representation"], lines))
    lines = []
    for name in there(("CAR", "carve")):
        rows = variants[name]["rows"]
        kinds = list(dict.fromkeys(k for row in rows for k in row if k not in ("key", "track")))
        lines += [[name, "none" if kind == "plain" else kind, *both(rows, kind, firsts=True)] for kind in kinds]
    groups.append(("Refinement", ["method", "refinement"], lines))
    lines = []
    for name in there(FIELDS):
        variant = variants[name]
        sizes = [f"{variant['receptive_field']} px", f"{variant['receptive_field'] / 256:.2f}", f"{variant['weights'] / 1e6:.2f} M"]
        lines.append([*sizes, *both(variant["rows"])])
    groups.append(("Receptive field of the encoder", ["field", "of the crop", "weights"], lines))
    out += [f"### {title}\n\n" + table([*first, *head], lines) for title, first, lines in groups if len(lines) > 1]
    return "\n".join(out)


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Chamfer and angle of the models, a dot for each photograph."""
    from matplotlib.figure import Figure

    names = [name for name in BASELINES if name in found["variants"]]
    every = [("naked body", found["body"]), *((name, found["variants"][name]["rows"]) for name in names)]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for plot, (measured, words) in zip(
        figure.subplots(1, 2), (("chamfer_cm", "Chamfer, cm"), ("angle_deg", "normals, degrees")), strict=True
    ):
        for k, (_, rows) in enumerate(every):
            for shift, track, colour in ((-0.17, "true", "tab:blue"), (0.17, "fitted", "tab:orange")):
                values = np.concatenate([np.array(own) for own in of(rows, track, "plain", measured).values()])
                label = TRACKS[track] if not k else None
                plot.bar(k + shift, np.nanmean(values), 0.32, color=colour, alpha=0.45, label=label)
                plot.plot(np.full(len(values), k + shift), values, ".", color=colour, markersize=3)
        plot.set_xticks(range(len(every)), [name for name, _ in every], rotation=35, ha="right")
        plot.set_ylabel(words)
        plot.set_ylim(bottom=0)
    figure.axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=80)


def write_results(found: Mapping[str, Any], single: bool = False) -> None:
    """Print the tables, put them into the page, draw the picture; of `single` choices the tables alone."""
    text, marks = tables(found), SINGLE_MARKS if single else MARKS
    print(text)
    page = PAGE.read_text()
    pattern = re.compile(re.escape(marks[0]) + ".*" + re.escape(marks[1]), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{marks[0]}\n\n{text}\n{marks[1]}", page))
    if not single:
        draw(found, PICTURE)


if __name__ == "__main__":
    for results in (RESULTS, SINGLE):
        write_results(json.loads(results.read_text()), results == SINGLE)
