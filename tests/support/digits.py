"""A small convolutional classifier with BatchNorm, trained on the digits that scikit-learn ships.

Small enough to train in seconds, real enough (depthwise, residual, ReLU, global pooling) that ranges and accuracy
mean something.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn

from zsq_export.preprocessing import Preprocessing

SIDE = 16
TRAIN_SAMPLES = 1297
EPOCHS = 8
PREPROCESSING = Preprocessing(mean=(0.5,), std=(0.5,), name="digits")


@dataclass(frozen=True, kw_only=True, eq=False)
class DigitsModel:
    """The trained network as an ONNX file, with data that it never saw.

    Attributes:
        path: ONNX file, opset 17; input "x" float32 [N, 1, 16, 16] (N dynamic), output "logits" float32 [N, 10].
        x_test: model inputs, float32 [500, 1, 16, 16].
        y_test: labels, int64 [500].
        x_pixels: the same test pictures as uint8 [500, 16, 16, 1].
        x_train_pixels: training pictures, uint8 [1297, 16, 16, 1]: the "real data" of a calibrator that takes some.
        preprocessing: turns pixels into model inputs.
    """

    path: Path
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    x_pixels: NDArray[np.uint8]
    x_train_pixels: NDArray[np.uint8]
    preprocessing: Preprocessing = PREPROCESSING


class _ConvBnRelu(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, groups=groups, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class DigitsNet(nn.Module):
    """Three conv-bn-relu, one depthwise conv-bn-relu, a residual add, global average pooling, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _ConvBnRelu(1, 16)
        self.down = _ConvBnRelu(16, 32, stride=2)
        self.depthwise = _ConvBnRelu(32, 32, groups=32)
        self.mix = nn.Sequential(nn.Conv2d(32, 32, 1, bias=False), nn.BatchNorm2d(32))
        self.last = _ConvBnRelu(32, 32, stride=2)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(self.stem(x))
        x = torch.relu(x + self.mix(self.depthwise(x)))
        return cast(Tensor, self.head(self.last(x).mean((2, 3))))


def digit_pixels() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The 1797 digits, uint8 [1797, 16, 16, 1] (bilinear from 8 x 8), and labels; shuffled, as writers come in runs."""
    bunch = load_digits()
    small = torch.tensor(bunch.images, dtype=torch.float32)[:, None] * (255 / 16)
    large = nn.functional.interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    pixels = large.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    order = np.random.default_rng(0).permutation(len(pixels))
    return pixels[order], bunch.target.astype(np.int64)[order]


def to_inputs(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels uint8 [N, H, W, 1] -> model inputs float32 [N, 1, H, W], as ``PREPROCESSING`` says."""
    scaled = (pixels.astype(np.float32) / 255 - PREPROCESSING.mean[0]) / PREPROCESSING.std[0]
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32)


def train_digits_net(pixels: NDArray[np.uint8], labels: NDArray[np.int64], *, seed: int = 0) -> DigitsNet:
    """Trains on one thread with a fixed seed, so that every worker and machine type gets the same kind of network."""
    x, y = torch.from_numpy(to_inputs(pixels)), torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = DigitsNet()
        optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
        steps = EPOCHS * (len(x) // 64 + 1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
        for _ in range(EPOCHS):
            for index in torch.randperm(len(x)).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x[index]), y[index]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return net.eval()


def export(net: nn.Module, example: Tensor, path: Path, *, keep_batchnorm: bool) -> None:
    """Writes ONNX with a dynamic batch; BatchNorm stays a node, or is folded as exporters do by default."""
    mode = torch.onnx.TrainingMode.PRESERVE if keep_batchnorm else torch.onnx.TrainingMode.EVAL
    torch.onnx.export(
        net.eval(),
        (example,),
        str(path),
        dynamo=False,
        opset_version=17,
        training=mode,
        do_constant_folding=not keep_batchnorm,
        input_names=["x"],
        output_names=["logits"],
        dynamic_axes={"x": {0: "n"}, "logits": {0: "n"}},
    )


def write_digits_model(folder: Path) -> None:
    """Trains once and writes ``digits.onnx`` (BatchNorm kept) and ``digits_folded.onnx`` into ``folder``."""
    pixels, labels = digit_pixels()
    net = train_digits_net(pixels[:TRAIN_SAMPLES], labels[:TRAIN_SAMPLES])
    for name, keep in (("digits.onnx", True), ("digits_folded.onnx", False)):
        export(net, torch.zeros(1, 1, SIDE, SIDE), folder / name, keep_batchnorm=keep)


def read_digits_model(path: Path) -> DigitsModel:
    """Puts the written network and its data together."""
    pixels, labels = digit_pixels()
    return DigitsModel(
        path=path,
        x_test=to_inputs(pixels[TRAIN_SAMPLES:]),
        y_test=labels[TRAIN_SAMPLES:],
        x_pixels=pixels[TRAIN_SAMPLES:],
        x_train_pixels=pixels[:TRAIN_SAMPLES],
    )
