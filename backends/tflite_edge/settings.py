"""What a user can choose of this target, all of it decided."""

from __future__ import annotations

from dataclasses import dataclass

from zsq_export.backends.options import IoLayout, IoType, Profile, TargetOptions, configure
from zsq_export.planning.schemes import Scheme

SCHEMES = (Scheme.INT8, Scheme.INT16X8)
DEFAULTS = TargetOptions(scheme=Scheme.INT8, profile=Profile.CPU, io=IoType.FLOAT, layout=IoLayout.NHWC)


@dataclass(frozen=True, kw_only=True)
class TfliteSettings:
    """Settings of one conversion.

    Attributes:
        scheme: INT8, or INT16X8 (int16 activations).
        profile: CPU may compute in float what has no fast integer kernel; INT8_ONLY computes all in integers.
        io: FLOAT quantizes and dequantizes inside the file; INT8 leaves integers (of the scheme) outside.
        layout: of inputs and outputs with four axes.
    """

    scheme: Scheme = Scheme.INT8
    profile: Profile = Profile.CPU
    io: IoType = IoType.FLOAT
    layout: IoLayout = IoLayout.NHWC

    @classmethod
    def of(cls, options: TargetOptions, target: str) -> TfliteSettings:
        """The settings that options mean.

        Raises:
            UsageError: an option that this target does not have.
        """
        chosen = configure(options, DEFAULTS, target=target, schemes=SCHEMES)
        assert chosen.scheme and chosen.profile and chosen.io and chosen.layout
        return cls(scheme=chosen.scheme, profile=chosen.profile, io=chosen.io, layout=chosen.layout)

    def options(self) -> TargetOptions:
        """The same as options."""
        return TargetOptions(scheme=self.scheme, profile=self.profile, io=self.io, layout=self.layout)
