"""Progress on the terminal: a line a stage with its seconds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from carve.files.text import readable


class _Console(Console):
    """A console whose reader may go: the run goes on without."""

    def on_broken_pipe(self) -> None:
        """Say nothing from now on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


class StageLines:
    """Shows the running stage and leaves a line for every stage that is done. Writes to stderr; results go to stdout.

    The first line waits for the second: input that is refused before a stage is done gets its one line and no other.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._console = _Console(stderr=True, quiet=quiet, highlight=False, markup=False)
        self._status = Status("", console=self._console)
        self._begin: dict[str, float] = {}
        self._first: str | None = None

    def __enter__(self) -> StageLines:
        self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._status.stop()

    def progress(self, stage: str, share: float) -> None:
        """Called with 0 when something begins, with its share while it goes on, with 1 when it is done."""
        label = stage.replace("_", " ")
        if share < 1:
            self._begin.setdefault(stage, time.perf_counter())
            self._status.update(f"{label} {share:.0%}" if share > 0 else label)
            return
        begin = self._begin.pop(stage, None)
        took = f"{time.perf_counter() - begin:6.1f} s" if begin is not None else "    kept"
        line = f"{label:<34}{took}"
        if self._first is None:
            self._first = line
            return
        self._let_go()
        self._console.print(line)

    def _let_go(self) -> None:
        if self._first:
            self._console.print(self._first)
            self._first = ""

    def summary(self, out: Path, report: dict[str, Any]) -> None:
        """Where the result lies and what the user should know of it."""
        self._let_go()
        for warning in report["warnings"]:
            self._console.print(f"note: {readable(warning)}")
        line = Text(readable(str(out / "avatar.glb")), "bold")
        line.append(readable(f"  (see {out / 'preview.png'} and {out / 'report.json'})"), "not bold")
        self._console.print(line)
