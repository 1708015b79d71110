"""Freed memory stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from carve.train.running.memory import keep_freed_memory

FAULTS = """
import resource, torch
from carve.train.running.memory import keep_freed_memory
assert KEEP is False or keep_freed_memory()
torch.set_num_threads(1)

def step():
    return [torch.zeros(12_000_000).add_(1) for _ in range(6)] and None

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    """Pages that the system cleared for five steps that need six blocks of 48 MB each, in a process of its own."""
    ran = subprocess.run([sys.executable, "-c", f"KEEP = {keep}\n{FAULTS}"], capture_output=True, text=True, check=True, timeout=120)
    return int(ran.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_blocks_are_used_again() -> None:
    assert faults(True) < 0.1 * faults(False)


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
