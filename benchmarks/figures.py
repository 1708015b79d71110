"""The table: what must be reached, what is aimed at, what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Statistic = Literal["median", "worst"]


@dataclass(frozen=True)
class Figure:
    """One line of the table: one or more numbers with their limits."""

    what: str
    measures: tuple[tuple[str, Statistic], ...]
    """The value and what is taken of it over all that have it; those beyond the limits' number are shown without a limit."""
    must: tuple[float, ...]
    aim: tuple[float, ...]
    digits: int
    unit: str = ""
    separator: str = " / "
    higher: bool = False
    """Whether more is better."""

    def measured(self, samples: Mapping[str, Sequence[float]]) -> list[float]:
        """The numbers; NaN where nothing was measured."""
        worst = np.min if self.higher else np.max
        found = [(np.array(samples.get(key, ()), float), statistic) for key, statistic in self.measures]
        return [float((worst if statistic == "worst" else np.median)(x)) if len(x) else float("nan") for x, statistic in found]

    def reached(self, numbers: Sequence[float]) -> str:
        """`aim`, `must` or `neither`, of the numbers as they are printed; `not measured` where one is missing."""
        if np.isnan(numbers).any():
            return "not measured"
        for name, limits in (("aim", self.aim), ("must", self.must)):
            pairs = zip((round(x, self.digits) for x in numbers), limits, strict=False)
            if all(x >= limit if self.higher else x <= limit for x, limit in pairs):
                return name
        return "neither"

    def text(self, numbers: Sequence[float], digits: int | None = None) -> str:
        """The numbers with their unit: limits as short as they are, measured ones with `digits`."""
        if np.isnan(numbers).any():
            return "-"
        return self.separator.join(f"{x:g}" if digits is None else f"{x:.{digits}f}" for x in numbers) + self.unit


def _median_and_worst(key: str) -> tuple[tuple[str, Statistic], ...]:
    return (key, "median"), (key, "worst")


FIGURES = (
    Figure(
        "own mask against the true mask (IoU, median / worst)",
        _median_and_worst("mask_iou"), (0.965, 0.93), (0.985, 0.97), 3, higher=True,
    ),
    Figure(
        "silhouette IoU of posed.glb through camera.json against the true mask, median / worst",
        _median_and_worst("silhouette_iou"), (0.955, 0.90), (0.975, 0.95), 3, higher=True,
    ),
    Figure(
        "2D joints: reprojection error, visible joints, share of the person's height, median",
        (("joints_2d_percent", "median"),), (1.5,), (1.0,), 2, " %",
    ),
    Figure(
        "dev cases: 3D joint error, root-aligned / Procrustes, median",
        (("joints_root_mm", "median"), ("joints_procrustes_mm", "median")), (60, 37), (45, 28), 1, " mm",
    ),
    Figure(
        "dev cases: Chamfer of posed.glb, registered / aligned, median",
        (("chamfer_registered_cm", "median"), ("chamfer_aligned_cm", "median")), (2.0, 1.5), (1.6, 1.25), 2, " cm",
    ),
    Figure(
        "dev cases: front normals of posed.glb, registered, mean angle, median",
        (("front_normals_deg", "median"),), (18.5,), (16,), 1, " deg",
    ),
    Figure(
        "dev cases: Chamfer of posed.glb against that of body.glb, aligned, median ratio",
        (("clothed_over_body", "median"),), (0.9,), (0.75,), 2,
    ),
    Figure(
        "dev cases: side-view silhouette IoU after alignment, median",
        (("side_iou", "median"),), (0.80,), (0.88,), 3, higher=True,
    ),
    Figure(
        "seconds a photo on two cores, warm start (first-use set-up apart), median",
        _median_and_worst("seconds"), (30,), (12,), 1, " s",
    ),
    Figure("peak memory", (("peak_gib", "worst"),), (4,), (2.5,), 2, " GiB"),
    Figure(
        "skinned avatar.glb in the bind pose against the stored surface; at the photo's pose against posed.glb (mean distance)",
        (("bind_pose_mm", "worst"), ("photo_pose_mm", "worst")), (0, 4), (0, 2), 3, " mm", " ; ",
    ),
    Figure("`carve --help`", (("help_seconds", "worst"),), (0.5,), (0.3,), 2, " s"),
)  # fmt: skip
"""Everything that has a limit; `summary` puts the count of whole folders before it."""


def summary(samples: Mapping[str, Sequence[float]], whole: int, count: int) -> list[dict[str, Any]]:
    """The table's lines, ready for JSON."""
    reached = "aim" if whole == count else "neither"
    folders = "photos and cases that give a complete, validator-clean output folder"
    lines: list[dict[str, Any]] = [
        {"what": folders, "must": "all", "aim": "all", "measured": f"{whole} of {count}", "numbers": [whole, count], "reached": reached}
    ]
    for figure in FIGURES:
        numbers = figure.measured(samples)
        lines.append(
            {
                "what": figure.what,
                "must": figure.text(figure.must),
                "aim": figure.text(figure.aim),
                "measured": figure.text(numbers, figure.digits),
                "numbers": [None if np.isnan(x) else round(x, 6) for x in numbers],
                "reached": figure.reached(numbers),
            }
        )
    return lines


def markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """The table as Markdown."""
    columns = ("what", "must", "aim", "measured")
    rows = [columns, *([line[column] for column in columns] for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    texts = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])
