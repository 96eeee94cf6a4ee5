"""A small ConvNeXt-like classifier: LayerNorm in the place of BatchNorm, no attention; trained on the digits."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

EPOCHS = 6


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.narrow(nn.functional.gelu(self.widen(y))) * self.scale
        return x + y.permute(0, 3, 1, 2)


class LayerNormNet(nn.Module):
    """Patches, a block, a smaller map, another block, pooling, LayerNorm, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first = nn.Conv2d(1, 16, 2, 2), _Block(16)
        self.down, self.second = nn.Conv2d(16, 32, 2, 2), _Block(32)
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.down(self.first(self.stem(x))))
        return cast(Tensor, self.head(self.norm(x.mean((2, 3)))))


def train(inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> LayerNormNet:
    """A few seconds on one thread, the same every time."""
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = LayerNormNet()
        optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
        for _ in range(EPOCHS):
            for index in torch.randperm(len(x)).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x[index]), y[index]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return net.eval()
