"""`carve demo`: an avatar from the example photo that comes with carve."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLE = Path(__file__).with_name("example.jpg")
"""A rendered person (CC0-1.0), see examples/README.md."""


def add_demo(parser: argparse.ArgumentParser, presets: tuple[str, ...]) -> None:
    """The arguments of `carve demo`."""
    parser.add_argument("--out", type=Path, default=Path("carve-demo"), metavar="DIR", help="the output folder (default: carve-demo)")
    parser.add_argument("--preset", choices=presets, help="speed against quality (default: standard)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors and the page's name")


def demo_words(arguments: argparse.Namespace) -> list[str]:
    """The command line that makes the example's avatar; an earlier run is gone on with."""
    words = ["reconstruct", str(EXAMPLE), f"--out={arguments.out}"]
    words += ["--resume"] if arguments.out.is_dir() and any(arguments.out.iterdir()) else []
    words += [f"--preset={arguments.preset}"] if arguments.preset else []
    return words + (["--quiet"] if arguments.quiet else [])
