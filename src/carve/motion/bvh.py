"""Reading Biovision's BVH motion files, as many programs write them.

Text in UTF-8 or UTF-16, with or without a byte order mark; decimal points or commas; any case of the keywords; frames on one line or on
several; joints without end sites; several roots, whose joints get a number where they have the names of an earlier root's.

Notation: J joints with offset o_j from their parent, T frames. A joint's channels act in the order in which the file lists them: with
channels Z, Y, X the joint's rotation is Rz Ry Rx, acting on columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from carve.files.fence import fence
from carve.files.text import read_text
from carve.geometry.rotations import matrix_from_quaternion
from carve.records import CarveError

MAX_BYTES = 128 << 20
"""Larger files are refused before they are read."""
MAX_JOINTS = 2000
MAX_JOINT_FRAMES = 2_000_000
"""Joints times frames, of which each takes some 200 bytes."""
LARGEST = 1e6
"""No offset, position (millimetres, say) or angle (degrees) is larger."""
FRAME_SECONDS = (1e-4, 10.0)
"""Times from one frame to the next that can be meant."""
AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Bvh:
    """A skeleton in its zero pose and its motion, in the file's own axes and lengths."""

    names: tuple[str, ...]
    """J joint names; end sites are left out."""
    parents: np.ndarray
    """(J,) int64, always smaller than the joint's own index; -1 for a root."""
    offsets: np.ndarray
    """(J, 3) from the parent's head, zero pose."""
    rotations: np.ndarray
    """(T, J, 3, 3) relative to the parent."""
    positions: np.ndarray
    """(T, J, 3) from the position channels, NaN where a joint has none."""
    seconds: float
    """Time from one frame to the next."""


class _Lines:
    """The words of each line that has any; errors name the file and the line."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.number = path, 0
        self._rows = text.splitlines()

    def next(self) -> list[str]:
        """The words of the next line that is not empty."""
        words = next(self.rest(), None)
        if words is None:
            raise self.error("the file ends too early")
        return words

    def rest(self) -> Iterator[list[str]]:
        """The words of all lines to come that are not empty."""
        while self.number < len(self._rows):
            self.number += 1
            words = self._rows[self.number - 1].split()
            if words:
                yield words

    def after(self, *keys: str) -> list[str]:
        """The words of the next line behind `keys` and a colon, with or without spaces between them."""
        line = " ".join(self.next())
        head, colon, tail = line.partition(":")
        if head.lower().split() != list(keys) or not colon:
            raise self.error(f"expected {' '.join(keys).title()}:")
        return tail.split()

    def numbers(self, words: list[str], count: int | None) -> np.ndarray:
        """`words` as numbers in range, `count` of them if it is given."""
        if count is not None and len(words) != count:
            raise self.error(f"expected {count} numbers and found {len(words)}")
        try:
            values = np.array(words, float)
        except ValueError:
            try:
                values = np.array([word.rstrip(",;").replace(",", ".") for word in words], float)
            except ValueError as error:
                raise self.error("expected numbers") from error
        if not np.isfinite(values).all():
            raise self.error("a number is not finite")
        if len(values) and np.abs(values).max() > LARGEST:
            raise self.error(f"a number is beyond {LARGEST:g}")
        return values

    def error(self, what: str) -> CarveError:
        """The error to raise for the line that was read last."""
        return CarveError(f"{self.path}, line {self.number}: {what}; this is not a usable BVH file")


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file; a CarveError names the file and the line of what is wrong."""
    with fence(f"The motion {path}"):
        lines = _Lines(path, read_text(path, MAX_BYTES, "latin-1"))
        if [word.upper() for word in lines.next()] != ["HIERARCHY"]:
            raise lines.error("expected HIERARCHY")
        names, parents, offsets, channels = _hierarchy(lines)
        announced = lines.numbers(lines.after("frames"), 1)[0]
        seconds = float(lines.numbers(lines.after("frame", "time"), 1)[0])
        if not FRAME_SECONDS[0] <= seconds <= FRAME_SECONDS[1]:
            raise lines.error("the frame time is not that of a motion")
        width = sum(len(c) for c in channels)
        if announced * len(names) > MAX_JOINT_FRAMES:
            raise lines.error(f"{announced:g} frames of {len(names)} joints are too many; cut the motion into shorter files")
        frames = _frames(lines, width, int(announced) if announced == int(announced) else -1)
        rotations, positions = _channels(frames, channels)
        return Bvh(tuple(names), np.array(parents), np.array(offsets), rotations, positions, seconds)


def _frames(lines: _Lines, width: int, announced: int) -> np.ndarray:
    """(T, width) the numbers of all frames: one on each line, or broken over several."""
    rows: list[np.ndarray] = []
    held, begun = np.zeros(0), 0
    for words in lines.rest():
        if len(rows) >= announced >= 0:
            rest = sum(1 for _ in lines.rest())
            raise lines.error(f"{announced} frames were announced and {announced + 1 + rest} lines are there")
        values = lines.numbers(words, None)
        if len(held) and len(held) + len(values) > width:
            lines.number = begun
            raise lines.error(f"expected {width} numbers and found {len(held)}")
        held, begun = (np.concatenate([held, values]), begun) if len(held) else (values, lines.number)
        if len(held) > width:
            raise lines.error(f"expected {width} numbers and found {len(held)}")
        if len(held) == width:
            rows.append(held)
            held = np.zeros(0)
    if len(held):
        lines.number = begun
        raise lines.error(f"expected {width} numbers and found {len(held)}")
    if len(rows) != announced or not rows:
        raise lines.error(f"{announced} frames were announced and {len(rows)} are there")
    return np.array(rows)


def _hierarchy(lines: _Lines) -> tuple[list[str], list[int], list[list[float]], list[list[str]]]:
    """Names, parents, offsets and channels of the joints, up to and with the line MOTION."""
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[list[str]] = []
    open_joints: list[int] = []  # -1 stands for an end site
    taken: set[str] = set()
    while " ".join(words := lines.next()).upper() != "MOTION":
        key = words[0].upper()
        inside = open_joints[-1] if open_joints else None
        if (key == "ROOT" and inside is None) or (key == "JOINT" and inside is not None and inside >= 0):
            name = " ".join(words[1:]).rstrip("{").strip()
            if inside is None:
                taken = set()
            if not name or name in taken:
                raise lines.error("a joint's name is missing or occurs twice")
            if len(names) >= MAX_JOINTS:
                raise lines.error(f"more than {MAX_JOINTS} joints")
            taken.add(name)
            names.append(f"{name}#{len(names)}" if name in names else name)
            parents.append(-1 if inside is None else inside)
            offsets.append([])
            channels.append([])
            open_joints.append(len(names) - 1)
        elif key in ("END", "ENDSITE") and inside is not None and inside >= 0:
            open_joints.append(-1)
        elif key == "OFFSET" and inside is not None:
            offset = lines.numbers(words[1:], 3)
            if inside >= 0:
                offsets[inside] = offset.tolist()
        elif key == "CHANNELS" and inside is not None and inside >= 0:
            kinds = [word.lower() for word in words[2:]]
            known = all(k[:1] in AXES and k[1:] in ("rotation", "position") for k in kinds)
            if words[1:2] != [str(len(kinds))] or not known or len(set(kinds)) < len(kinds):
                raise lines.error("the channels are not understood")
            channels[inside] = kinds
        elif key == "}" and open_joints:
            closed = open_joints.pop()
            if closed >= 0 and not offsets[closed]:
                raise lines.error(f"the joint {names[closed]!r} has no OFFSET")
            continue
        elif key != "{":
            raise lines.error(f"did not expect {words[0]!r} here")
        if key in ("ROOT", "JOINT", "END", "ENDSITE") and words[-1][-1] != "{" and lines.next() != ["{"]:
            raise lines.error("expected {")
    if open_joints or not names:
        raise lines.error("the skeleton is not complete")
    return names, parents, offsets, channels


def _channels(frames: np.ndarray, channels: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of all frames (T, width), angles in degrees, to rotations (T, J, 3, 3) and positions (T, J, 3)."""
    rotations = np.tile(np.eye(3), (len(frames), len(channels), 1, 1))
    positions = np.full((len(frames), len(channels), 3), np.nan)
    column = 0
    for joint, kinds in enumerate(channels):
        for kind in kinds:
            axis, values = AXES[kind[0]], frames[:, column]
            if kind.endswith("position"):
                positions[:, joint, axis] = values
            else:
                half = np.radians(values) / 2
                quaternion = np.zeros((len(frames), 4))
                quaternion[:, axis], quaternion[:, 3] = np.sin(half), np.cos(half)
                rotations[:, joint] = rotations[:, joint] @ matrix_from_quaternion(quaternion)
            column += 1
    return rotations, positions
