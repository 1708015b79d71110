"""Tables of figures: text, CSV, LaTeX, and one HTML page with pictures.

A table has a row a method and track; a cell is the median over the cases with its bootstrap interval. `fitted` rows are made with the body
that the method found itself, `true` rows with the case's own body: both are always shown, the second as dashes where the cases have none.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from carve.evaluate.metrics import interval

Track = Literal["fitted", "true"]
TRACKS: tuple[Track, ...] = get_args(Track)

COLUMNS = {
    "IoU": "silhouette_iou",
    "Chamfer": "registered.chamfer_cm",
    "P2S": "registered.p2s_cm",
    "Chamfer al.": "aligned.chamfer_cm",
    "P2S al.": "aligned.p2s_cm",
    "F@1cm al.": "aligned.fscore_1cm",
    "Normal ICON": "aligned.normal_icon",
    "Normal deg": "aligned.normal_angle_deg",
    "Front deg": "registered.front_normal_angle_deg",
    "Side IoU": "aligned.side_iou",
    "PSNR": "aligned.albedo.psnr_gain_db",
    "SSIM": "aligned.albedo.ssim",
    "Back sharp": "aligned.albedo.views.back.sharpness",
    "Joints root": "joints.root_mm",
    "Joints Procr.": "joints.procrustes_mm",
}
"""Heading -> where the figure stands. Lengths in cm (joints mm); `al.` after closest points, else after scale and place alone."""


@dataclass(frozen=True)
class Result:
    """The figures of one method on one case."""

    case: str
    method: str
    track: Track
    figures: Mapping[str, Any]
    """As `scoring.score` gives them; empty if there are none."""
    problem: str = ""
    """Why there are none."""


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    method: str
    track: Track
    count: int
    """Cases that went in."""
    cells: dict[str, tuple[float, float, float]]
    """Heading -> median and its 95 % interval; NaN where nothing was measured."""


def pick(figures: Mapping[str, Any], place: str) -> float:
    """The figure at a dotted place, NaN where it is missing."""
    value: Any = figures
    for name in place.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return float("nan")
        value = value[name]
    return float(value)


def rows(results: Sequence[Result], statistic: str = "median") -> list[Row]:
    """Both tracks of every method, in the order in which methods first appear."""
    out = []
    for method in dict.fromkeys(result.method for result in results):
        for track in TRACKS:
            own = [r for r in results if r.method == method and r.track == track and r.figures]
            cells = {name: interval([pick(r.figures, place) for r in own], statistic) for name, place in COLUMNS.items()}
            out.append(Row(method, track, len(own), cells))
    return out


def _number(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def as_text(lines: Sequence[Row]) -> str:
    """A table for a terminal: medians, their intervals below."""
    width = max([len("method"), *(len(line.method) for line in lines)]) + 1
    spans = {name: max(len(name), 13) + 2 for name in COLUMNS}
    text = ["method".ljust(width) + "body".ljust(8) + "cases" + "".join(name.rjust(span) for name, span in spans.items())]
    for line in lines:
        medians = "".join(_number(line.cells[name][0]).rjust(span) for name, span in spans.items())
        text.append(line.method.ljust(width) + line.track.ljust(8) + str(line.count).rjust(5) + medians)
        if line.count > 1:
            ranges = (f"{_number(low)}..{_number(high)}" for _, low, high in line.cells.values())
            text.append(" " * (width + 13) + "".join(r.rjust(s) for r, s in zip(ranges, spans.values(), strict=True)))
    return "\n".join(text) + "\n"


def as_csv(results: Sequence[Result]) -> str:
    """A line a case, method and track, every figure of COLUMNS."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["case", "method", "body", *COLUMNS, "problem"])
    for result in results:
        values = (pick(result.figures, place) for place in COLUMNS.values())
        cells = ["" if not math.isfinite(value) else f"{value:.6g}" for value in values]
        writer.writerow([result.case, result.method, result.track, *cells, result.problem])
    return file.getvalue()


def as_latex(lines: Sequence[Row]) -> str:
    """A tabular for a paper (package booktabs)."""
    escape = str.maketrans({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#"})
    text = [r"\begin{tabular}{ll" + "r" * len(COLUMNS) + "}", r"\toprule"]
    text += [" & ".join(["Method", "Body", *(name.translate(escape) for name in COLUMNS)]) + r" \\", r"\midrule"]
    for line in lines:
        cells = (_number(value[0]) for value in line.cells.values())
        text.append(" & ".join([line.method.translate(escape), line.track, *cells]) + r" \\")
    return "\n".join([*text, r"\bottomrule", r"\end{tabular}", ""])


def as_html(lines: Sequence[Row], results: Sequence[Result], pictures: Mapping[str, Path]) -> str:
    """One self-contained page: the table, and each case's figures below its picture (a PNG)."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("method", "body", "cases", *COLUMNS))
    body = []
    for line in lines:
        cells = "".join(f'<td title="{_number(low)} to {_number(high)}">{_number(value)}</td>' for value, low, high in line.cells.values())
        body.append(f"<tr><td>{html.escape(line.method)}</td><td>{line.track}</td><td>{line.count}</td>{cells}</tr>")
    sections = []
    for case in dict.fromkeys(result.case for result in results):
        picture = pictures.get(case)
        image = ""
        if picture is not None and picture.is_file():
            data = base64.b64encode(picture.read_bytes()).decode("ascii")
            image = f'<img alt="{html.escape(case)}" src="data:image/png;base64,{data}">'
        told = "".join(_told(result) for result in results if result.case == case)
        sections.append(f"<section><h2>{html.escape(case)}</h2>{image}<ul>{told}</ul></section>")
    style = (
        "body{font:15px/1.5 system-ui;margin:2rem;color-scheme:light dark}table{border-collapse:collapse}"
        "td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #8886}img{max-width:100%}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>carve evaluate</title><style>{style}</style>'
        f"<h1>Evaluation</h1><p>Medians over cases; point at a cell for its 95 % interval.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{''.join(sections)}</html>\n"
    )


def _told(result: Result) -> str:
    """A case's figures of one method in a line."""
    if result.problem:
        return f"<li>{html.escape(result.method)} ({result.track}): {html.escape(result.problem)}</li>"
    if not result.figures:
        return ""
    values = ((name, pick(result.figures, place)) for name, place in COLUMNS.items())
    told = ", ".join(f"{html.escape(name)} {_number(value)}" for name, value in values if math.isfinite(value))
    return f"<li>{html.escape(result.method)} ({result.track}): {told}</li>"
