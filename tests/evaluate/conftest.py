"""Shared by the tests of the yardstick."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(7)


@pytest.fixture(autouse=True)
def thinner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the samples: a box has no folds."""
    monkeypatch.setattr("carve.evaluate.scoring.SAMPLES", 20_000)
