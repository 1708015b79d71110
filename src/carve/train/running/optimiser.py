"""The optimiser of all trainings: Muon for the kernels of convolutions and linear layers, AdamW for everything else.

Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024) moves a matrix by its orthogonalised momentum, so that
all its directions learn at one speed; scaled to the size of AdamW's steps (Liu et al., "Muon is scalable for LLM training", arXiv
2502.16982) both share one learning rate. A kernel (O, I, h, w) counts as the matrix (O, I h w).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

FEWEST = 8
"""Rows and columns that a kernel needs: with fewer there is little to make orthogonal."""


def kernels_of(network: nn.Module) -> list[Tensor]:
    """The kernels that Muon moves."""
    kernels = [m.weight for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    return [k for k in kernels if min(len(k), k[0].numel()) >= FEWEST]


class Optimiser:
    """Both optimisers with one learning rate and one state."""

    def __init__(self, network: nn.Module, rate: float, decay: float) -> None:
        """`decay` is that of weights; biases and gains do not decay."""
        self._kernels = kernels_of(network)
        # The library's Muon takes matrices alone: these share the kernels' memory.
        self._matrices = [nn.Parameter(_as_matrix(kernel.detach())) for kernel in self._kernels]
        taken = {id(kernel) for kernel in self._kernels}
        rest = [p for p in network.parameters() if id(p) not in taken]
        groups = [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self._network = network
        self._adam = torch.optim.AdamW([g for g in groups if g["params"]], lr=rate, betas=(0.9, 0.98)) if rest else None
        self._muon = (
            torch.optim.Muon(self._matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw") if self._matrices else None
        )

    def _parts(self) -> dict[str, torch.optim.Optimizer]:
        return {name: part for name, part in (("adam", self._adam), ("muon", self._muon)) if part is not None}

    def step(self, rate: float) -> None:
        """Move the weights by their gradients."""
        for kernel, matrix in zip(self._kernels, self._matrices, strict=True):
            matrix.grad = None if kernel.grad is None else _as_matrix(kernel.grad)
        for part in self._parts().values():
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._network.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """The moments, named."""
        return {
            f"{name}.{number}.{key}": torch.as_tensor(value)
            for name, part in self._parts().items()
            for number, state in part.state_dict()["state"].items()
            for key, value in state.items()
        }

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Take in what `state` gave. Raises KeyError or ValueError if it is another optimiser's."""
        for name, part in self._parts().items():
            found: dict[int, dict[str, Any]] = {}
            for key, value in tensors.items():
                owner, number, what = key.split(".", 2)
                if owner == name:
                    found.setdefault(int(number), {})[what] = value
            part.load_state_dict({**part.state_dict(), "state": found})


def _as_matrix(kernel: Tensor) -> Tensor:
    """(O, ...) as (O, -1), sharing memory if the kernel is stored densely in either memory format; the columns' order follows that."""
    if kernel.ndim == 4 and kernel.is_contiguous(memory_format=torch.channels_last):
        kernel = kernel.permute(0, 2, 3, 1)
    return kernel.reshape(len(kernel), -1)
