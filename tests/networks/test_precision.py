"""Half precision only where there are instructions for it."""

import pytest
import torch

from carve.networks import precision


def test_processors_without_bf16_keep_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    for known, wanted in (({}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True, "avx2": True}, torch.bfloat16)):
        monkeypatch.setattr(precision, "_capabilities", lambda known=known: known)
        with precision.autocast("cpu"):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == wanted
    assert not precision.cpu_has_bf16({"avx2": True, "avx512_f": True, "avx512_bf16": False})


def test_a_torch_that_tells_nothing_is_believed_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert precision._capabilities() == {}
