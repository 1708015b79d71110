"""Sparse symmetric systems, solved directly."""

from __future__ import annotations

from typing import Any

from scipy.sparse.linalg import splu


def factorise(system: Any, pivots: bool = False) -> Any:
    """SuperLU's factors of a symmetric, positive definite sparse matrix (N, N), ordered by minimum degree; `.solve(right)` uses them.

    Such a matrix needs no other pivots than its diagonal; with `pivots` they are chosen nevertheless, for one that hardly is definite.
    """
    more = {} if pivots else {"diag_pivot_thresh": 0.0}
    return splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}, **more)
