"""Functions compiled by numba, kept between runs where a place can be written, compiled anew where none can or what was kept is damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache


class _Cache(FunctionCache):
    """numba's cache, without which a function works as well: a damaged file in it, or a full disk, only costs the time to compile."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling makes of a damaged file
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            try:
                super().save_overload(sig, data)
            except OSError:
                raise
            except Exception:  # what lies there is damaged: begin anew
                self.flush()
                super().save_overload(sig, data)
        except OSError:
            self.disable()  # a full disk, or a folder that has gone


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with these options and a cache: beside the module, else in the user's cache folder, else (both unwritable) none."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        try:
            dispatcher._cache = _Cache(function)
        except RuntimeError:  # no place to write
            return dispatcher
        return dispatcher

    return decorate
