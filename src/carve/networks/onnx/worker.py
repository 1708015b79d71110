"""The process that opens and runs ONNX models: started as a script by `onnx_process`, imports nothing of carve.

Requests come on stdin, answers go to stdout: a line of JSON, then the bytes of the arrays that it lists, one after the other.
"""

from __future__ import annotations

import json
import resource
import sys
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np


@lru_cache(maxsize=1)
def open_model(path: str, _changed: int) -> Any:
    """The model's session; a file that has changed is opened anew."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what goes wrong is raised
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def answer(request: dict[str, Any], feeds: dict[str, np.ndarray]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What the request asks for: the model's inputs and outputs, or the values of some outputs."""
    soft = min(int(request["memory"]), resource.getrlimit(resource.RLIMIT_AS)[1] % (1 << 63))
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.getrlimit(resource.RLIMIT_AS)[1]))
    session = open_model(request["path"], request["changed"])
    if request["do"] == "describe":
        described = {
            kind: [{"name": i.name, "type": i.type, "shape": [n if isinstance(n, (int, str)) else None for n in i.shape]} for i in infos]
            for kind, infos in (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
        }
        return described, []
    results = [np.asarray(result) for result in session.run(request["outputs"], feeds)]
    if any(result.dtype.kind not in "fiub" for result in results):
        raise ValueError("its outputs are no numbers")
    return {}, results


def send(stream: BinaryIO, message: dict[str, Any], arrays: list[np.ndarray]) -> None:
    """Write a message and its arrays."""
    listed = [{"dtype": a.dtype.str, "shape": list(a.shape)} for a in arrays]
    stream.write(json.dumps({**message, "arrays": listed}).encode("ascii") + b"\n")
    for array in arrays:
        stream.write(np.ascontiguousarray(array).tobytes())
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], list[np.ndarray]] | None:
    """Read a message and its arrays; None when the other side is gone."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    message = json.loads(line)
    arrays = []
    for listed in message["arrays"]:
        dtype, shape = np.dtype(listed["dtype"]), tuple(listed["shape"])
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        data = stream.read(size)
        if len(data) != size:
            return None
        arrays.append(np.frombuffer(data, dtype).reshape(shape))
    return message, arrays


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while (received := receive(requests)) is not None:
        request, arrays = received
        try:
            message, results = answer(request, dict(zip(request.get("feeds", ()), arrays, strict=True)))
        except Exception as error:  # onnxruntime's have no common base; the other side tells the user
            message, results = {"error": str(error).strip() or type(error).__name__}, []
        send(answers, message, results)


if __name__ == "__main__":
    main()
