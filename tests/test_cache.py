from __future__ import annotations

from pathlib import Path

import pytest

from carve.cache import is_there


def test_what_may_not_be_looked_at_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_there(tmp_path) and not is_there(tmp_path / "nothing")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "stat", refuse)
    assert not is_there(tmp_path)
