"""A process of `carve batch` that makes one avatar after the other and keeps what it has loaded: `python -m carve.app.batching.worker`.

It reads a line of JSON a run, the words after `carve`, and answers with a line `{"code": ..., "message": ...}`. It ends when nobody can
send it more.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import sys
import threading
import traceback


def run_words(words: list[str]) -> tuple[int, str]:
    """Run a command line in this process: its exit code, and the last line of what it complained about."""
    from carve.app.cli import run
    from carve.provenance import give_memory_back

    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        try:
            code = run(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except Exception:
            traceback.print_exc()
            code = 1
    give_memory_back()
    lines = told.getvalue().strip().splitlines()
    return code, lines[-1].removeprefix("carve: ") if lines else ""


def _listen(orders: queue.SimpleQueue[str]) -> None:
    """Take orders; end with whoever gave them, in the middle of a run too."""
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)


def main() -> None:
    """Work until stdin ends. What libraries print goes nowhere: stdout is for answers alone."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    while True:
        code, message = run_words(json.loads(orders.get()))
        answers.write(json.dumps({"code": code, "message": message}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
