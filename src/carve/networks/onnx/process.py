"""ONNX models in a process of their own, which can be stopped: a file of somebody's may loop, ask for all memory or crash its runtime."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from carve.networks.onnx.worker import receive, send
from carve.records import CarveError

OPEN_SECONDS = 8.0
"""To open a small model; a large one gets a second more for every `OPEN_BYTES`."""
OPEN_BYTES = 8 << 20
RUN_SECONDS = 600.0
"""To run a model once; large ones take minutes on a processor."""
OPEN_MEMORY = 3 << 30
"""Address space to open a model, and eight times its size."""
RUN_MEMORY = 24 << 30
MAX_BYTES = 8 << 30


class _Worker:
    """The process, started when it is first asked and again after it was stopped."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: Mapping[str, Any], arrays: Sequence[np.ndarray], seconds: float) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The answer to a request.

        Raises:
            TimeoutError: it took too long; the process was stopped.
            ConnectionError: the process ended.
        """
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            send(process.stdin, dict(request), list(arrays))  # type: ignore[arg-type]
            received = receive(process.stdout)  # type: ignore[arg-type]
        except (OSError, ValueError, MemoryError) as error:
            received, problem = None, str(error)
        else:
            problem = ""
        finally:
            timer.cancel()
        if received is not None:
            return received
        self.stop()
        if late.is_set():
            raise TimeoutError(f"it did not finish within {seconds:.0f} seconds")
        raise ConnectionError(problem or f"its process ended with code {process.returncode}")

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:
                        continue  # what it still held was for the process that is gone
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            script = Path(__file__).with_name("worker.py")
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process


worker = _Worker()
atexit.register(worker.stop)


def describe(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Name, type and shape of a model's `inputs` and `outputs`.

    Raises CarveError if it cannot be read or opened, onnxruntime is missing, or opening it takes too long.
    """
    size = _size(path)
    request = _request(path, "describe", OPEN_MEMORY + 8 * size)
    return _answer(path, "is not an ONNX file that can be opened", request, (), OPEN_SECONDS + size / OPEN_BYTES)[0]


def run(path: Path, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The values of some outputs for the values of all inputs.

    Raises CarveError if the model fails or takes too long.
    """
    size = _size(path)
    request = _request(path, "run", RUN_MEMORY) | {"outputs": list(outputs), "feeds": list(feeds)}
    return _answer(path, "failed", request, tuple(feeds.values()), RUN_SECONDS + OPEN_SECONDS + size / OPEN_BYTES)[1]


def _size(path: Path) -> int:
    if find_spec("onnxruntime") is None:
        raise CarveError("ONNX models need onnxruntime; install it with: pip install 'carve[onnx]'.")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CarveError(f"The model {path} cannot be read: {error.strerror}.") from error
    if not path.is_file() or size > MAX_BYTES:
        raise CarveError(f"The model {path} is no file, or larger than {MAX_BYTES >> 30} GiB; give an ONNX file.")
    return size


def _request(path: Path, what: str, memory: int) -> dict[str, Any]:
    return {"do": what, "path": os.path.abspath(path), "changed": path.stat().st_mtime_ns, "memory": memory}  # noqa: PTH100


def _answer(
    path: Path, how: str, request: Mapping[str, Any], arrays: Sequence[np.ndarray], seconds: float
) -> tuple[dict[str, Any], list[np.ndarray]]:
    try:
        message, results = worker.ask(request, arrays, seconds)
    except (TimeoutError, ConnectionError) as error:
        raise CarveError(f"The model {path} {how}: {error}.") from error
    except BaseException:
        worker.stop()  # half an answer may be under way
        raise
    if "error" in message:
        raise CarveError(f"The model {path} {how}: {' '.join(message['error'].split())[:400]}.")
    return message, results
