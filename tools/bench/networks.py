"""The networks that are measured, what is needed of each, and their data."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

REAL_IMAGES = 300
BATCH = 50


class Family(StrEnum):
    """Which labelled data a network is for."""

    CIFAR10 = "cifar10"
    IMAGENET = "imagenet"


@dataclass(frozen=True, kw_only=True)
class DataNames:
    """Names of the assets' data sets of one family: to test on, and the real images of the baselines."""

    test: str
    real: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What is needed on OpenVINO with no data and default settings.

    Attributes:
        top1: percent, at least.
        agreement: of the top-1 with the float model, percent, at least.
        seconds: wall time of ``convert`` on two cores, at most.
        fast_seconds: the same with ``--effort fast``.
        folded_loss: how much agreement the file with BatchNorm folded may lose, points; None: reported only.
        int8_macs: share of the multiply-accumulates that runs in int8, at least; None: reported only.
        nncf_latency: our latency as a multiple of that of NNCF's model, at most; None: reported only.
    """

    top1: float
    agreement: float
    seconds: float
    fast_seconds: float = 15.0
    folded_loss: float | None = 1.0
    int8_macs: float | None = 0.95
    nncf_latency: float | None = 1.0


PEAK_GIB = 2.0
"""Of ``convert``, at most."""
SQNR_LOSS_DB = 2.0
"""Output SQNR may be this much lower than with the same pipeline on real data."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network of the assets.

    Attributes:
        file: relative to the assets.
        bar: what is needed.
        spec: give the preprocessing to the calibrator; False: it has to find out.
        transformer: the baseline quantizer is told so.
    """

    file: str
    bar: Bar
    spec: bool = False
    transformer: bool = False

    @property
    def name(self) -> str:
        """File name without its suffix."""
        return Path(self.file).stem


NETWORKS = (
    Network(file="cifar10/resnet20_akamaster.onnx", bar=Bar(top1=91.3, agreement=98.7, seconds=15)),
    Network(file="cifar10/resnet56_akamaster.onnx", bar=Bar(top1=92.4, agreement=98.9, seconds=15)),
    Network(file="cifar10/resnet20_chenyaofo.onnx", bar=Bar(top1=92.3, agreement=98.8, seconds=15)),
    Network(
        file="cifar10/vit_d6_smmk47.onnx",
        bar=Bar(top1=70.3, agreement=97.8, seconds=15, folded_loss=None, int8_macs=None, nncf_latency=None),
        spec=True,
        transformer=True,
    ),
    Network(file="mlperf_tiny/ic_resnet8.onnx", bar=Bar(top1=87.5, agreement=97.8, seconds=15)),
    Network(file="imagenet/efficientnet_lite0_224.onnx", bar=Bar(top1=82.0, agreement=96.5, seconds=60)),
    Network(file="imagenet/mobilenetv1_075_224.onnx", bar=Bar(top1=76.5, agreement=93.0, seconds=60, folded_loss=None)),
)

DATA = {
    Family.CIFAR10: DataNames(test="test1000", real="train4000"),
    Family.IMAGENET: DataNames(test="val650", real="train1000"),
}

SPECS = {
    "cifar_norm": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010], "name": "cifar"},
}
"""The assets' preprocessing names -> what ``--preprocessing FILE`` reads, for the networks that are given it."""


def assets_dir() -> Path:
    """Folder of the evaluation assets: ZSQ_ASSETS, else ../shared/assets beside the repository."""
    beside = Path(__file__).resolve().parent / "../../../shared/assets"
    folder = Path(os.environ.get("ZSQ_ASSETS") or beside).resolve()
    if not (folder / "assets.py").is_file():
        raise SystemExit(f"no evaluation assets in {folder}; set ZSQ_ASSETS")
    return folder


@cache
def assets() -> ModuleType:
    """The assets' own loaders."""
    spec = importlib.util.spec_from_file_location("zsq_assets", assets_dir() / "assets.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def named(names: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of these names; all for no name."""
    unknown = set(names) - {network.name for network in NETWORKS}
    if unknown:
        raise SystemExit(f"no such network: {', '.join(sorted(unknown))}")
    return tuple(network for network in NETWORKS if not names or network.name in names)


@cache
def _pixels(family: Family, which: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    load = {Family.CIFAR10: assets().cifar10, Family.IMAGENET: assets().imagenet}[family]
    pixels, labels = load(which)
    return pixels, labels


def test_data(network: Network) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Model inputs float32 [N, 3, H, W] and labels."""
    preprocessing, _side, family = assets().MODELS[network.file]
    pixels, labels = _pixels(Family(family), DATA[Family(family)].test)
    return assets().nchw(pixels, preprocessing), labels


def real_images(network: Network) -> NDArray[np.float32]:
    """Model inputs made of real training images, for the baselines: float32 [300, 3, H, W]."""
    preprocessing, _side, family = assets().MODELS[network.file]
    pixels, _labels = _pixels(Family(family), DATA[Family(family)].real)
    inputs: NDArray[np.float32] = assets().nchw(pixels[:REAL_IMAGES], preprocessing)
    return inputs


def write_spec(network: Network, path: Path) -> Path:
    """Saves the network's preprocessing as a spec file."""
    path.write_text(json.dumps(SPECS[assets().MODELS[network.file][0]]))
    return path
