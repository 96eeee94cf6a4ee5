"""What a user can choose of this target."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Profile(StrEnum):
    """Which device the file is for."""

    CPU = "cpu"
    INT8_ONLY = "int8-only"


class IoType(StrEnum):
    """Element type of the file's inputs and outputs."""

    FLOAT = "float"
    INT8 = "int8"


class IoLayout(StrEnum):
    """Order of the axes of pictures at the file's inputs and outputs."""

    NHWC = "nhwc"
    NCHW = "nchw"


@dataclass(frozen=True, kw_only=True)
class TfliteSettings:
    """Settings of one conversion.

    Attributes:
        profile: CPU may compute in float what has no fast integer kernel; INT8_ONLY computes all in integers.
        io: FLOAT quantizes and dequantizes inside the file.
        layout: of inputs and outputs with four axes.
    """

    profile: Profile = Profile.CPU
    io: IoType = IoType.FLOAT
    layout: IoLayout = IoLayout.NHWC
