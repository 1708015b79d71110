"""Several data sets as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from carve.synth.samples.dataset import SyntheticPhotos
from carve.train.running.loop import Batch


class Joined:
    """The pairs of the first people of each data set, one data set after the other."""

    def __init__(self, photos: Sequence[SyntheticPhotos], share: float = 1.0) -> None:
        self._photos = photos
        counts = [one.shards.starts[max(1, math.ceil(share * len(one.shards.people())))] for one in photos]
        self._ends = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def draw(self, i: int, epoch: int) -> Batch:
        """Item i of an epoch."""
        which = int(np.searchsorted(self._ends, i, side="right"))
        return self._photos[which].draw(i - (int(self._ends[which - 1]) if which else 0), epoch)
