"""How long a network learns, from samples of which sizes, how fast. Notation: step k of K."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """Consecutive steps with samples of one size."""

    size: int
    """Side of the samples, pixels."""
    steps: int
    batch: int


@dataclass(frozen=True)
class Schedule:
    """How a network is trained."""

    phases: tuple[Phase, ...]
    learning_rate: float = 1e-3
    """At its highest, after the warm-up; it falls to a hundredth along a cosine."""
    warmup: int = 100
    """Steps of linear growth."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest norm of the gradient."""
    average: float = 0.998
    """Decay of the moving average of the weights that is kept as the result; the first steps use less."""
    seed: int = 0

    @property
    def steps(self) -> int:
        """K."""
        return sum(phase.steps for phase in self.phases)

    def phase_of(self, step: int) -> tuple[Phase, range]:
        """The phase of a step and the numbers of the samples from that step to the end of the phase."""
        before = 0
        for phase in self.phases:
            if step < phase.steps:
                return phase, range(before + step * phase.batch, before + phase.steps * phase.batch)
            step -= phase.steps
            before += phase.steps * phase.batch
        raise IndexError("beyond the last step")

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
