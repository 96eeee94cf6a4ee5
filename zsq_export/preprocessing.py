"""How a picture becomes the model's input: the saved, documented preprocessing spec."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """``model_input = (pixel / 255 - mean) / std`` per channel, with ``pixel`` in 0..255.

    Attributes:
        mean: one value, or one per channel, in units of pixel / 255.
        std: likewise; never zero.
        channel_order: order of the planes the model wants; pictures are read as RGB.
        resize: shorter side in pixels before the centre crop; None: 256/224 of the input side.
        name: the usual name of the convention ("imagenet", "unit", ...), for people.
        origin: given by the user, detected from the model, or assumed.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: ChannelOrder = ChannelOrder.RGB
    resize: int | None = None
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
