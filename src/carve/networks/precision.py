"""Half precision where it is fast."""

from __future__ import annotations

import torch


def autocast(device: torch.device | str) -> torch.autocast:
    """bf16 on graphics cards and on processors that have instructions for it; elsewhere single precision, where bf16 is emulated and takes
    eight times as long."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu" or cpu_has_bf16(_capabilities()))


def cpu_has_bf16(capabilities: dict[str, bool]) -> bool:
    """Whether a processor with these capabilities, as torch names them, multiplies bf16 itself."""
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _capabilities() -> dict[str, bool]:
    """What torch knows of this processor; nothing in versions that do not tell."""
    told = getattr(torch.cpu, "get_capabilities", None)
    return {} if told is None else told()
