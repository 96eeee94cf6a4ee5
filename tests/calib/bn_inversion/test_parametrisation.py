"""Pictures as spectra: the same pictures, moved along what natural ones are made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsq_export.calib.base import CalibrationRequest, Effort
from zsq_export.calib.bn_inversion.parametrisation import Pixels, Unbounded, natural_spectrum
from zsq_export.calib.bn_inversion.runs import match_statistics
from zsq_export.calib.bn_inversion.settings import SETTINGS
from zsq_export.calib.starting_point import starting_point
from zsq_export.graph.prepare import prepare_model

SIDES = st.integers(1, 33)


def pictures(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(seed))


@given(height=SIDES, width=SIDES)
def test_a_picture_of_any_size_is_its_spectrum(height: int, width: int) -> None:
    spectrum, shown = natural_spectrum(height, width, "cpu"), pictures(height, width)
    variable = spectrum.encode(shown)
    assert variable.shape == (2, 3, height, width // 2 + 1, 2)
    torch.testing.assert_close(spectrum.decode(variable), shown, rtol=0, atol=1e-5)


@given(height=SIDES, width=SIDES, seed=st.integers(0, 9))
def test_pictures_stay_in_range_and_those_in_range_stay(height: int, width: int, seed: int) -> None:
    spectrum, shown = natural_spectrum(height, width, "cpu"), 3 * pictures(height, width, seed) - 1
    variable = spectrum.encode(shown)
    spectrum.project(variable)
    torch.testing.assert_close(spectrum.decode(variable), shown.clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("parametrisation", [Unbounded(), Pixels()])
def test_other_inputs_are_themselves(parametrisation: Unbounded) -> None:
    shown = pictures(4, 4)
    assert parametrisation.decode(parametrisation.encode(shown)) is shown
    wide = 3 * shown - 1
    parametrisation.project(wide)
    expected = (3 * shown - 1).clamp(0, 1) if isinstance(parametrisation, Pixels) else 3 * shown - 1
    assert torch.equal(wide, expected)


def test_a_step_moves_pictures_as_far_as_one_of_pixels_would() -> None:
    spectrum = natural_spectrum(64, 48, "cpu")
    signs = torch.randint(0, 2, (8, 3, 64, 25, 2), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    moved = spectrum.decode(0.01 * signs / 2**0.5)
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.01, rel=0.1)


def test_lower_frequencies_move_farther() -> None:
    amplitude = natural_spectrum(32, 32, "cpu").usual
    assert float(amplitude[0, 1] / amplitude[0, 8]) == pytest.approx(8)
    assert float(amplitude[0, 0]) == float(amplitude[0, 1])


def grain(made: NDArray[np.float32]) -> float:
    """Share of the change from pixel to pixel that lies above half the highest frequency."""
    power = np.abs(np.fft.rfft2(made - made.mean(axis=(2, 3), keepdims=True))) ** 2
    rows, columns = np.fft.fftfreq(made.shape[2])[:, None], np.fft.rfftfreq(made.shape[3])[None, :]
    return float(power[..., np.hypot(rows, columns) > 0.25].sum() / power.sum())


def test_inversion_meets_the_statistics_with_less_grain(digits_model: Any) -> None:
    model, request = prepare_model(digits_model.path), CalibrationRequest(effort=Effort.FAST)
    start = starting_point(model, seed=0, count=16, given=None)
    settings = replace(SETTINGS[Effort.FAST], samples=16, inverted=16, batch=16, steps=60)
    pixels = match_statistics(model, start, settings, request)
    spectral = match_statistics(model, start, replace(settings, spectral=True), request)
    assert spectral.inputs.shape == pixels.inputs.shape
    assert spectral.batchnorm < 2 * pixels.batchnorm
    assert grain(spectral.inputs) < 0.8 * grain(pixels.inputs)
