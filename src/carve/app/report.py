"""`carve report`: one HTML page of a run or a batch."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_report(parser: argparse.ArgumentParser) -> None:
    """The arguments of `carve report`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="an output folder of `carve reconstruct` or `carve batch`")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page to write (default: DIR/report.html)")


def run_report(arguments: argparse.Namespace) -> int:
    """Write the page and say where it lies."""
    from carve.files.whole import check_place, write_whole
    from carve.report.page import report_page

    if arguments.out is not None:
        check_place(arguments.out)
    out = arguments.out or arguments.folder / "report.html"
    write_whole(out, report_page(arguments.folder))
    print(out)
    return 0
