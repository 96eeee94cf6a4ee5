"""What Adam moves: the inputs themselves, or the spectrum of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Parametrisation(Protocol):
    """A variable that stands for inputs."""

    def encode(self, inputs: Tensor) -> Tensor:
        """The variable that stands for these inputs."""
        ...

    def decode(self, variable: Tensor) -> Tensor:
        """The inputs that it stands for; differentiable."""
        ...

    def project(self, variable: Tensor) -> None:
        """Puts the inputs back into their allowed range, in place."""
        ...


@dataclass(frozen=True, kw_only=True)
class Unbounded:
    """The inputs themselves, without known limits."""

    def encode(self, inputs: Tensor) -> Tensor:
        """As they are."""
        return inputs

    def decode(self, variable: Tensor) -> Tensor:
        """As it is."""
        return variable

    def project(self, variable: Tensor) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class Pixels(Unbounded):
    """Pictures in 0..1."""

    def project(self, variable: Tensor) -> None:
        """Clips."""
        variable.clamp_(0.0, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrum:
    """Pictures in 0..1 as their Fourier coefficients, each in units of what a natural picture has of its frequency.

    A step of Adam then changes pictures by as much as one of pixels would, but along 1 / f: whole surfaces rather than
    the grain that inversion in pixels leaves. Source: Olah et al., "Feature Visualization", Distill 2017
    (doi:10.23915/distill.00007), section "Preconditioning and Parameterization"; exponent of natural images: Field
    1987.

    Attributes:
        height, width: of the pictures.
        usual: float32 [height, width // 2 + 1], amplitude of each frequency; 1 in the mean square.
    """

    height: int
    width: int
    usual: Tensor

    def encode(self, inputs: Tensor) -> Tensor:
        """[samples, channels, height, width] -> [samples, channels, height, width // 2 + 1, 2], real and imaginary."""
        return torch.view_as_real(torch.fft.rfft2(inputs, norm="ortho") / self.usual)

    def decode(self, variable: Tensor) -> Tensor:
        """The other way."""
        coefficients = torch.view_as_complex(variable.contiguous()) * self.usual
        pictures: Tensor = torch.fft.irfft2(coefficients, s=(self.height, self.width), norm="ortho")
        return pictures

    def project(self, variable: Tensor) -> None:
        """Clips the pictures."""
        variable.copy_(self.encode(self.decode(variable).clamp_(0.0, 1.0)))


def natural_spectrum(height: int, width: int, device: str) -> Spectrum:
    """With amplitudes that fall as 1 / f, f in cycles per picture, from 1 on."""
    rows = torch.fft.fftfreq(height, device=device) * height
    columns = torch.fft.fftfreq(width, device=device) * width
    amplitude = 1 / torch.hypot(rows[:, None], columns[None, :]).clamp_min(1.0)
    usual = amplitude / amplitude.square().mean().sqrt()
    return Spectrum(height=height, width=width, usual=usual[:, : width // 2 + 1].contiguous())
