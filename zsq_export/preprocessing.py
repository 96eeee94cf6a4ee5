"""How a picture becomes the model's input: the saved, documented preprocessing spec."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from zsq_export.errors import UsageError

PREPROCESSING_PROPERTY = "zsq_export.preprocessing"
"""Metadata property of a QDQ model that holds the input convention as JSON, for targets that store it in their file."""


class ChannelOrder(StrEnum):
    """Order of the colour planes that the model expects."""

    RGB = "rgb"
    BGR = "bgr"


class Origin(StrEnum):
    """Who says that this preprocessing is the right one."""

    GIVEN = "given"
    DETECTED = "detected"
    ASSUMED = "assumed"


class Fit(StrEnum):
    """How a picture of any size becomes one of the model's size.

    CROP: the shorter side is resized, then the centre is cropped, as ImageNet classifiers are evaluated. STRETCH:
    resized to exactly the model's size. LETTERBOX: resized as a whole, the rest filled, the picture in the middle.
    LETTERBOX_CORNER: likewise, the picture at the top left. PAD: never resized, continued by its last row and column.
    """

    CROP = "crop"
    STRETCH = "stretch"
    LETTERBOX = "letterbox"
    LETTERBOX_CORNER = "letterbox-corner"
    PAD = "pad"


class Interpolation(StrEnum):
    """How pictures are resized: Pillow's filters, which average where they reduce, or OpenCV's plain bilinear one."""

    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    OPENCV_LINEAR = "opencv-linear"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """``model_input = (pixel / 255 - mean) / std`` per channel, with ``pixel`` in 0..255.

    Attributes:
        mean: one value, or one per channel, in units of pixel / 255.
        std: likewise; never zero.
        channel_order: order of the planes the model wants; pictures are read as RGB.
        resize: shorter side in pixels before the centre crop; None: 256/224 of the input side.
        fit: how a picture comes to the model's size.
        interpolation: of resizing.
        fill: grey value, 0..255, beside a letterboxed picture.
        name: the usual name of the convention ("imagenet", "unit", ...), for people.
        origin: given by the user, detected from the model, or assumed.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: ChannelOrder = ChannelOrder.RGB
    resize: int | None = None
    fit: Fit = Fit.CROP
    interpolation: Interpolation = Interpolation.BICUBIC
    fill: int = 114
    name: str = "custom"
    origin: Origin = Origin.GIVEN

    def __post_init__(self) -> None:
        if not self.mean or not self.std or any(s == 0 for s in self.std):
            raise UsageError("preprocessing needs a mean and a non-zero std", hint="e.g. --mean 0.5 --std 0.5")

    def to_json(self) -> str:
        """The spec as JSON text, as ``--preprocessing FILE`` reads it."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Preprocessing:
        """Builds the spec from parsed JSON.

        Raises:
            UsageError: a field is missing, unknown or of the wrong type.
        """
        try:
            return cls(
                mean=tuple(float(v) for v in raw["mean"]),
                std=tuple(float(v) for v in raw["std"]),
                channel_order=ChannelOrder(raw.get("channel_order", "rgb")),
                resize=None if raw.get("resize") is None else int(raw["resize"]),
                fit=Fit(raw.get("fit", "crop")),
                interpolation=Interpolation(raw.get("interpolation", "bicubic")),
                fill=int(raw.get("fill", 114)),
                name=str(raw.get("name", "custom")),
                origin=Origin(raw.get("origin", "given")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"preprocessing spec is not valid: {error}", hint='expected {"mean": [...], "std": [...]}'
            ) from error

    @classmethod
    def load(cls, path: Path) -> Preprocessing:
        """Reads a saved spec."""
        try:
            raw = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the preprocessing spec {path}: {error}") from error
        if not isinstance(raw, dict):
            raise UsageError(f"{path} is not a preprocessing spec", hint="expected a JSON object")
        return cls.from_dict(raw)


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How pictures come to the model's size; None: as the preprocessing says."""

    fit: Fit | None = None
    interpolation: Interpolation | None = None

    def over(self, preprocessing: Preprocessing) -> Preprocessing:
        """The same convention with what is given here."""
        return replace(
            preprocessing,
            fit=self.fit or preprocessing.fit,
            interpolation=self.interpolation or preprocessing.interpolation,
        )
