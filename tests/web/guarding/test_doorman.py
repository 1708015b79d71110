"""The process that looks at uploads: it may die or be stuck, and others' files are looked at all the same."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

pytest.importorskip("fastapi", reason="the web tests need the extra `web`")

from carve.records import CarveError
from carve.web.guarding import doorman as module
from carve.web.guarding.doorman import Doorman


def test_what_a_file_does_to_the_process_is_one_sentence_and_the_next_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Doorman()

    async def asked() -> None:
        assert await keeper.ask(abs, -2) == 2
        with pytest.raises(CarveError, match="decoder gave up"):
            await keeper.ask(signal.raise_signal, signal.SIGKILL)
        assert await keeper.ask(abs, -3) == 3
        monkeypatch.setattr(module, "SECONDS", 0.5)
        with pytest.raises(CarveError, match="too long"):
            await keeper.ask(time.sleep, 60)
        monkeypatch.setattr(module, "SECONDS", 60.0)
        assert await keeper.ask(abs, -4) == 4

    asyncio.run(asked())
    keeper.close()


def test_a_file_that_ends_the_process_takes_no_other_with_it() -> None:
    keeper = Doorman()

    async def asked() -> list[object]:
        deaths = keeper.ask(signal.raise_signal, signal.SIGKILL)
        return await asyncio.gather(deaths, *(keeper.ask(abs, -k) for k in range(3)), return_exceptions=True)

    first, *others = asyncio.run(asked())
    assert isinstance(first, CarveError) and others == [0, 1, 2]
    keeper.close()


def test_it_rests_when_nobody_has_come_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Doorman()
    pid = asyncio.run(keeper.ask(os.getpid))
    keeper.rest()
    assert asyncio.run(keeper.ask(os.getpid)) == pid
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    keeper.rest()
    assert asyncio.run(keeper.ask(os.getpid)) != pid
    keeper.close()
