"""What is kept of mediapipe between pictures, and given up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from carve.io.image import read_photo
from carve.networks.detectors.mediapipe_graph import Graph, close_graphs, kept
from carve.networks.detectors.person import detect_people, run_hands

EXAMPLE = Path(__file__).parents[3] / "examples" / "person.jpg"


def test_graphs_that_were_closed_are_opened_again_and_say_the_same() -> None:
    pixels = read_photo(EXAMPLE).pixels
    before, hands = detect_people(pixels), run_hands(pixels)
    close_graphs()
    close_graphs()  # nothing is open: nothing to close
    after = detect_people(pixels)
    assert [person.radius for person in after] == [person.radius for person in before]
    np.testing.assert_array_equal(after[0].centre, before[0].centre)
    assert len(run_hands(pixels)) == len(hands)


def test_each_is_made_once_until_all_are_closed() -> None:
    made: list[str] = []

    class Thing:
        def __init__(self, name: str) -> None:
            made.append(name)

        def close(self) -> None:
            made.append("closed")

    get = kept(Thing)
    assert get("a") is get("a") and get("b") is not get("a")
    close_graphs()
    assert sorted(made) == ["a", "b", "closed", "closed"]
    assert get("a") is get("a") and made[-1] == "a"
    close_graphs()


def test_a_closed_graph_lets_go_of_what_it_saw() -> None:
    echo = Graph(
        'input_stream: "in"\noutput_stream: "out"\nnode { calculator: "PassThroughCalculator" input_stream: "in" output_stream: "out" }',
        ("out",),
    )
    from mediapipe.python import packet_creator, packet_getter

    assert packet_getter.get_int(echo(**{"in": packet_creator.create_int(7)})["out"]) == 7
    echo.close()
    assert echo._seen == {}
