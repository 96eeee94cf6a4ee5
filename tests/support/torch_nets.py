"""Small untrained PyTorch networks, one per architecture family, exported in every usual way."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def _conv_bn(
    channels_in: int, channels_out: int, kernel: int = 3, *, groups: int = 1, act: nn.Module | None = None
) -> nn.Module:
    convolution = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), act or nn.ReLU())


class SqueezeExcite(nn.Module):
    """MobileNetV3 block: hardswish, depthwise, squeeze-excite, residual."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_bn(3, 8, act=nn.Hardswish())
        self.depthwise = _conv_bn(8, 8, 5, groups=8, act=nn.Hardswish())
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.project = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.head = nn.Sequential(nn.Linear(8, 16), nn.Hardswish(), nn.Dropout(), nn.Linear(16, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.depthwise(x)
        y = y * F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        return self.head((x + self.project(y)).mean([2, 3]))


class InvertedResidual(nn.Module):
    """MobileNetV2 block."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv_bn(3, 8, act=nn.ReLU6()),
            _conv_bn(8, 24, 1, act=nn.ReLU6()),
            _conv_bn(24, 24, groups=24, act=nn.ReLU6()),
            _conv_bn(24, 8, 1, act=nn.Identity()),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class PreActivation(nn.Module):
    """DenseNet: BatchNorm in front of the convolutions, concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv1, self.norm2 = nn.Conv2d(8, 4, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.conv1(F.relu(self.norm1(x)))], 1)
        return self.head(F.adaptive_avg_pool2d(F.relu(self.norm2(x)), (1, 1)).flatten(1))


class Shuffle(nn.Module):
    """ShuffleNetV2: split, concat, channel shuffle, grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch, self.tail = _conv_bn(3, 16), _conv_bn(8, 8, groups=8), _conv_bn(16, 16, 1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.stem(x).chunk(2, 1)
        x = torch.cat([left, self.branch(right)], 1)
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)
        return self.tail(x)


class Decoder(nn.Module):
    """Transposed convolutions, one of them grouped."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_bn(3, 8)
        self.up1, self.norm1 = nn.ConvTranspose2d(8, 12, 4, 2, 1, groups=4, bias=False), nn.BatchNorm2d(12)
        self.up2, self.norm2 = nn.ConvTranspose2d(12, 6, 2, 2), nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(F.leaky_relu(self.norm2(self.up2(F.relu(self.norm1(self.up1(self.stem(x))))))))


class SharedHead(nn.Module):
    """One convolution on two scales, each with its own BatchNorm; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = _conv_bn(3, 8), nn.Conv2d(8, 8, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(8), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        return F.relu(self.norm1(self.head(x))), F.relu(self.norm2(self.head(F.avg_pool2d(x, 2))))


class TwoInputs(nn.Module):
    """Two inputs, three outputs, explicit padding in front of a convolution and of a pooling, arithmetic behind."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = _conv_bn(3, 8), nn.Conv2d(1, 8, 1)
        self.pad, self.tail = nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 4, 3, 2)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = self.left(x) + self.right(y)
        pooled = F.max_pool2d(self.pad(F.relu6(z)), 3, 2)
        return (
            self.tail(self.pad(z)) * 2.0 - 1.0,
            F.interpolate(pooled, scale_factor=2, mode="bilinear"),
            z.mean((2, 3)),
        )


class Mlp(nn.Module):
    """BatchNorm on the input and behind linear layers, with and without bias, also written as matmul."""

    def __init__(self) -> None:
        super().__init__()
        self.norm0, self.linear1, self.norm1 = nn.BatchNorm1d(20), nn.Linear(20, 32), nn.BatchNorm1d(32)
        self.linear2, self.norm2 = nn.Linear(32, 32, bias=False), nn.BatchNorm1d(32)
        self.weight, self.bias, self.norm3 = (
            nn.Parameter(torch.randn(32, 8)),
            nn.Parameter(torch.randn(8)),
            nn.BatchNorm1d(8),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm2(self.linear2(F.relu(self.norm1(self.linear1(self.norm0(x)))))))
        return self.norm3(x @ self.weight + self.bias)


class Sequence(nn.Module):
    """One-dimensional convolution, PReLU, group normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm, self.act = nn.Conv1d(4, 8, 3, padding=1), nn.BatchNorm1d(8), nn.PReLU(8)
        self.conv2, self.group_norm = nn.Conv1d(8, 6, 3), nn.GroupNorm(2, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.group_norm(self.conv2(self.act(self.norm(self.conv1(x)))))


class Volume(nn.Module):
    """Three-dimensional, grouped."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm, self.conv2 = (
            nn.Conv3d(1, 4, 3, padding=1),
            nn.BatchNorm3d(4),
            nn.Conv3d(4, 4, 3, groups=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.elu(self.norm(self.conv1(x))))


class VisionTransformer(nn.Module):
    """Patches, class token, two encoder layers."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token, self.position = nn.Parameter(torch.randn(1, 1, 32)), nn.Parameter(torch.randn(1, 17, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.encoder(x)[:, 0])


class Recurrent(nn.Module):
    """LSTM and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network and the shapes of its inputs without the batch."""

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...] = ((3, 32, 32),)


NETS: dict[str, Net] = {
    "squeeze_excite": Net(build=SqueezeExcite),
    "inverted_residual": Net(build=InvertedResidual),
    "pre_activation": Net(build=PreActivation),
    "shuffle": Net(build=Shuffle),
    "decoder": Net(build=Decoder),
    "shared_head": Net(build=SharedHead),
    "two_inputs": Net(build=TwoInputs, shapes=((3, 32, 32), (1, 32, 32))),
    "mlp": Net(build=Mlp, shapes=((20,),)),
    "sequence": Net(build=Sequence, shapes=((4, 16),)),
    "volume": Net(build=Volume, shapes=((1, 8, 8, 8),)),
    "vision_transformer": Net(build=VisionTransformer),
    "recurrent": Net(build=Recurrent, shapes=((5, 8),)),
}


def build_net(name: str) -> nn.Module:
    """The network in evaluation mode with BatchNorms that look trained; always the same weights."""
    torch.manual_seed(0)
    net = NETS[name].build().eval()
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.3, 2)
            nn.init.uniform_(module.weight, 0.3, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return net


def export_net(name: str, path: Path, *, dynamo: bool, fold: bool, opset: int | None = None) -> None:
    """Exports with a dynamic batch; ``fold`` lets the exporter fold constants and BatchNorm."""
    net, inputs = build_net(name), tuple(torch.randn(2, *shape) for shape in NETS[name].shapes)
    names = [f"in{index}" for index in range(len(inputs))]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if dynamo:
            batch = tuple({0: torch.export.Dim("N")} for _ in inputs)
            torch.onnx.export(net, inputs, path, input_names=names, dynamo=True, optimize=fold, opset_version=18,
                              dynamic_shapes=batch, external_data=False, verbose=False)  # fmt: skip
        else:
            torch.onnx.export(net, inputs, path, input_names=names, dynamo=False, do_constant_folding=fold,
                              opset_version=opset or 17, dynamic_axes={item: {0: "N"} for item in names})  # fmt: skip
