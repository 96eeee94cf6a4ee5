"""The classifiers of the assets that the zero-shot benchmark measures, their labelled data, and real inputs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import networks
import numpy as np
from numpy.typing import NDArray

Inputs = NDArray[np.float32]

SEEDS = (10, 11, 12)
"""Not those that defaults were looked at with."""


class Kind(StrEnum):
    """What a classifier sees."""

    CIFAR = "cifar10"
    IMAGENET = "imagenet"
    SPEECH = "kws"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One network.

    Attributes:
        file: relative to the assets.
        kind: of its data.
        batchnorm: whether the file holds BatchNorms.
    """

    file: str
    kind: Kind = Kind.CIFAR
    batchnorm: bool = True

    @property
    def name(self) -> str:
        """File name without its suffix."""
        return Path(self.file).stem

    @property
    def path(self) -> Path:
        """The file."""
        return networks.assets_dir() / self.file

    @property
    def large(self) -> bool:
        """Takes minutes where others take seconds."""
        return self.kind is Kind.IMAGENET


SUBJECTS = (
    Subject(file="cifar10/resnet20_akamaster.onnx"),
    Subject(file="cifar10/resnet56_akamaster.onnx"),
    Subject(file="cifar10/resnet20_chenyaofo.onnx"),
    Subject(file="cifar10/vit_d6_smmk47.onnx", batchnorm=False),
    Subject(file="mlperf_tiny/ic_resnet8.onnx"),
    Subject(file="mlperf_tiny/kws_dscnn.onnx", kind=Kind.SPEECH),
    Subject(file="imagenet/efficientnet_lite0_224.onnx", kind=Kind.IMAGENET),
    Subject(file="imagenet/mobilenetv1_075_224.onnx", kind=Kind.IMAGENET),
)


def subject(name: str) -> Subject:
    """The network of this name."""
    found = next((item for item in SUBJECTS if item.name == name), None)
    if found is None:
        raise SystemExit(f"no such network: {name}; there are {', '.join(item.name for item in SUBJECTS)}")
    return found


@cache
def _pixels(kind: Kind, which: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    load: dict[Kind, Any] = {Kind.CIFAR: networks.assets().cifar10, Kind.IMAGENET: networks.assets().imagenet}
    pixels, labels = load[kind](which)
    return pixels, labels


def test_data(item: Subject) -> tuple[Inputs, NDArray[np.int64]]:
    """Model inputs and labels: 1000 of CIFAR-10 and of speech commands, 650 of ImageNet."""
    assets = networks.assets()
    if item.kind is Kind.SPEECH:
        return _speech()
    names = {Kind.CIFAR: "test1000", Kind.IMAGENET: "val650"}
    pixels, labels = _pixels(item.kind, names[item.kind])
    return assets.nchw(pixels, assets.MODELS[item.file][0]), labels


def real_inputs(item: Subject, samples: int, draw: int = 0) -> Inputs:
    """Real inputs for the baseline: training pictures spread evenly over the file, others for each draw.

    Of speech there are no others than the test data, a part of which is taken: its baseline is flattered.
    """
    if item.kind is Kind.SPEECH:
        features, _ = _speech()
        return features[spread(samples, len(features), draw)]
    assets = networks.assets()
    names = {Kind.CIFAR: "train4000", Kind.IMAGENET: "train1000"}
    pixels, _ = _pixels(item.kind, names[item.kind])
    found: Inputs = assets.nchw(pixels[spread(samples, len(pixels), draw)], assets.MODELS[item.file][0])
    return found


def spread(samples: int, available: int, draw: int = 0) -> NDArray[np.int64]:
    """Indices spread evenly; no two draws share one where there are enough for all of them."""
    return (np.arange(samples) * available // samples + draw) % available


def _speech() -> tuple[Inputs, NDArray[np.int64]]:
    features, labels = networks.assets().kws()
    return np.ascontiguousarray(features.reshape(len(features), 1, 49, 10), np.float32), labels
