"""mediapipe's calculator graphs behind plain dictionaries of packets.

mediapipe is imported when the first graph is built, so that importing this module stays cheap.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from carve.native_output import quiet


@cache
def mediapipe() -> Any:
    """The package, quietly imported, its bundled models findable."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    import warnings

    warnings.filterwarnings("ignore", category=UserWarning, module="google.protobuf")
    with quiet():
        import mediapipe as package
        from mediapipe.python._framework_bindings import resource_util
    resource_util.set_resource_dir(str(Path(package.__file__).parent.parent))
    return package


class Closable(Protocol):
    """A graph of ours, or a solution of mediapipe's."""

    def close(self) -> None: ...


Kept = TypeVar("Kept", bound=Closable)
_OPEN: list[dict[Any, Any]] = []


def kept(make: Callable[..., Kept]) -> Callable[..., Kept]:
    """`make` called once for each of its arguments; what it made serves until `close_graphs`."""
    made: dict[Any, Kept] = {}
    _OPEN.append(made)

    @wraps(make)
    def get(*names: Any) -> Kept:
        if names not in made:
            made[names] = make(*names)
        return made[names]

    return get


def close_graphs() -> None:
    """Close all that is open: together they hold some 0.35 GiB. Whoever asks next opens them again."""
    for made in _OPEN:
        while made:
            made.popitem()[1].close()


class Graph:
    """One calculator graph that is kept running: packets go in under their streams' names, what comes out is handed back."""

    def __init__(self, config: str, outputs: Sequence[str], side_packets: Mapping[str, Any] | None = None) -> None:
        mediapipe()
        from mediapipe.python._framework_bindings import calculator_graph

        self._seen: dict[str, Any] = {}
        self._time = 0
        with quiet():
            self._graph: Any = calculator_graph.CalculatorGraph(graph_config=config)
            for name in outputs:
                self._graph.observe_output_stream(name, self._receiver(name))
            self._graph.start_run(dict(side_packets or {}))

    def _receiver(self, name: str) -> Any:
        def receive(_: str, packet: Any) -> None:
            self._seen[name] = packet

        return receive

    def close(self) -> None:
        """End it; it cannot be asked again."""
        self._graph.close_all_packet_sources()
        self._graph.wait_until_done()
        # It holds our receivers, and they hold it: without this neither would go.
        self._graph = None
        self._seen.clear()

    def __call__(self, **packets: Any) -> dict[str, Any]:
        """What the graph says of one set of packets; a stream that stays silent is not in it."""
        self._seen.clear()
        self._time += 1
        with quiet() if self._time == 1 else _nothing():
            for name, packet in packets.items():
                self._graph.add_packet_to_input_stream(name, packet.at(self._time))
            self._graph.wait_until_idle()
        return dict(self._seen)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def image_packet(image: np.ndarray) -> Any:
    """An image (h, w, 3) uint8 sRGB as a packet."""
    mediapipe()
    from mediapipe.python import packet_creator
    from mediapipe.python._framework_bindings import image_frame

    return packet_creator.create_image_frame(image_format=image_frame.ImageFormat.SRGB, data=np.ascontiguousarray(image))
