"""Adam for one tensor. Making torch.optim's imports torch's compiler, which takes longer than some calibrations."""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = (0.9, 0.99)
_EPSILON = 1e-8


class Adam:
    """Kingma & Ba, Adam, ICLR 2015 (arXiv:1412.6980), algorithm 1; the learning rate is given with each step."""

    def __init__(self, variable: Tensor) -> None:
        self._variable = variable
        self._mean = torch.zeros_like(variable)
        self._square = torch.zeros_like(variable)
        self._steps = 0

    def step(self, rate: float) -> None:
        """Moves the variable, in place, against its gradient. To be called without gradient tracking."""
        gradient = self._variable.grad
        assert gradient is not None
        self._steps += 1
        self._mean.lerp_(gradient, 1 - BETAS[0])
        self._square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        unbiased = (self._square / (1 - BETAS[1] ** self._steps)).sqrt_().add_(_EPSILON)
        self._variable.addcdiv_(self._mean, unbiased, value=-rate / (1 - BETAS[0] ** self._steps))
