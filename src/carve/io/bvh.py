"""Reading Biovision's BVH motion files.

Notation: J joints with offset o_j from their parent, T frames. A joint's channels act in the order in which the file lists them: with
channels Z, Y, X the joint's rotation is Rz Ry Rx, acting on columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from carve.geometry.rotations import matrix_from_quaternion
from carve.records import CarveError

MAX_BYTES = 256 << 20
"""Larger files are refused before they are read."""
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

    def numbers(self, words: list[str], count: int) -> list[float]:
        """`words` as finite numbers, `count` of them."""
        if len(words) != count:
            raise self.error(f"expected {count} numbers and found {len(words)}")
        try:
            values = [float(word) for word in words]
        except ValueError as error:
            raise self.error("expected numbers") from error
        if not np.isfinite(values).all():
            raise self.error("a number is not finite")
        return values

    def error(self, what: str) -> CarveError:
        """The error to raise for the line that was read last."""
        return CarveError(f"{self.path}, line {self.number}: {what}; this is not a usable BVH file")


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file; a CarveError names the file and the line of what is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CarveError(f"{path} is larger than 256 MiB; cut the motion into shorter files")
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise CarveError(f"cannot read {path}: {error.strerror or error}") from error
    lines = _Lines(path, text)
    if lines.next() != ["HIERARCHY"]:
        raise lines.error("expected HIERARCHY")
    names, parents, offsets, channels = _hierarchy(lines)
    words = lines.next()
    if words[0].lower() != "frames:":
        raise lines.error("expected Frames:")
    count = lines.numbers(words[1:], 1)[0]
    words = lines.next()
    if [w.lower() for w in words[:2]] != ["frame", "time:"]:
        raise lines.error("expected Frame Time:")
    seconds = lines.numbers(words[2:], 1)[0]
    if seconds <= 0:
        raise lines.error("the frame time is not positive")
    width = sum(len(c) for c in channels)
    frames = [lines.numbers(words, width) for words in lines.rest()]
    if len(frames) != count or not frames:
        raise lines.error(f"{count:g} frames were announced and {len(frames)} are there")
    rotations, positions = _channels(np.array(frames), channels)
    return Bvh(tuple(names), np.array(parents), np.array(offsets), rotations, positions, seconds)


def _hierarchy(lines: _Lines) -> tuple[list[str], list[int], list[list[float]], list[list[str]]]:
    """Names, parents, offsets and channels of the joints, up to and with the line MOTION."""
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[list[str]] = []
    open_joints: list[int] = []  # -1 stands for an end site
    while (words := lines.next()) != ["MOTION"]:
        key = words[0].upper()
        inside = open_joints[-1] if open_joints else None
        if (key == "ROOT" and inside is None) or (key == "JOINT" and inside is not None and inside >= 0):
            name = " ".join(words[1:]).rstrip("{").strip()
            if not name or name in names:
                raise lines.error("a joint's name is missing or occurs twice")
            names.append(name)
            parents.append(-1 if inside is None else inside)
            offsets.append([0.0, 0.0, 0.0])
            channels.append([])
            open_joints.append(len(names) - 1)
        elif key == "END" and inside is not None and inside >= 0:
            open_joints.append(-1)
        elif key == "OFFSET" and inside is not None:
            offset = lines.numbers(words[1:], 3)
            if inside >= 0:
                offsets[inside] = offset
        elif key == "CHANNELS" and inside is not None and inside >= 0:
            kinds = [word.lower() for word in words[2:]]
            if words[1:2] != [str(len(kinds))] or any(k[:1] not in AXES or k[1:] not in ("rotation", "position") for k in kinds):
                raise lines.error("the channels are not understood")
            channels[inside] = kinds
        elif key == "}" and open_joints:
            open_joints.pop()
            continue
        elif key != "{":
            raise lines.error(f"did not expect {words[0]!r} here")
        if key in ("ROOT", "JOINT", "END") and words[-1][-1] != "{" and lines.next() != ["{"]:
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
