"""The procedural prior has the statistics by which photographs differ from noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsq_export.calib.prior.colours import NATURAL_MEAN
from zsq_export.calib.prior.images import natural_images
from zsq_export.calib.prior.spectra import spectral_fields

SIDE = 64
GAUSSIAN_KURTOSIS = 3.0


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.float32]:
    return natural_images(seed=3, count=64, channels=3, height=SIDE, width=SIDE)


def spectral_slope(planes: NDArray[np.float32]) -> float:
    """Exponent a of amplitude ~ f**-a, fitted to the radial mean power of square planes [samples, side, side]."""
    side = planes.shape[-1]
    centred = planes - planes.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centred)) ** 2).mean(axis=0)
    along = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(along[:, None], along[None, :])).astype(int)
    rings = np.arange(2, side // 4)
    energy = [power[radius == ring].mean() for ring in rings]
    return float(-np.polyfit(np.log(rings), np.log(energy), 1)[0] / 2)


def kurtosis(values: NDArray[np.float32]) -> float:
    centred = values - values.mean()
    return float((centred**4).mean() / centred.var() ** 2)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 9),
    channels=st.sampled_from([1, 2, 3, 5]),
    height=st.integers(1, 33),
    width=st.integers(1, 33),
)
@example(seed=0, count=8, channels=3, height=1, width=1)
@example(seed=0, count=1, channels=5, height=7, width=31)
def test_any_size_gives_pixels_between_0_and_1(seed: int, count: int, channels: int, height: int, width: int) -> None:
    wanted: dict[str, Any] = {"count": count, "channels": channels, "height": height, "width": width}
    made = natural_images(seed=seed, **wanted)
    assert made.shape == (count, channels, height, width)
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert made.tobytes() == natural_images(seed=seed, **wanted).tobytes()


def test_another_seed_gives_other_pictures(pictures: NDArray[np.float32]) -> None:
    other = natural_images(seed=4, count=64, channels=3, height=SIDE, width=SIDE)
    assert np.abs(other - pictures).mean() > 0.1
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_a_field_has_the_spectrum_asked_for(exponent: float) -> None:
    fields = spectral_fields(np.random.default_rng(0), count=48, height=SIDE, width=SIDE, alpha=(exponent, exponent))
    assert spectral_slope(fields) == pytest.approx(exponent, abs=0.06)
    np.testing.assert_allclose(fields.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(fields.std(axis=(1, 2)), 1, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(2, 40), count=st.integers(0, 3))
def test_fields_of_any_size_have_unit_variance(height: int, width: int, count: int) -> None:
    fields = spectral_fields(np.random.default_rng(1), count=count, height=height, width=width, alpha=(0.4, 2.0))
    assert fields.shape == (count, height, width)
    assert fields.dtype == np.float32
    np.testing.assert_allclose(fields.std(axis=(1, 2)), 1, atol=1e-3)


def test_the_pictures_spectrum_falls_as_1_over_f(pictures: NDArray[np.float32]) -> None:
    assert 0.75 < spectral_slope(pictures.mean(axis=1)) < 1.35


def test_edges_make_the_gradients_heavy_tailed(pictures: NDArray[np.float32]) -> None:
    gradients = np.diff(pictures.mean(axis=1), axis=-1)
    fields = spectral_fields(np.random.default_rng(0), count=64, height=SIDE, width=SIDE, alpha=(1.0, 1.0))
    assert kurtosis(np.diff(fields, axis=-1)) == pytest.approx(GAUSSIAN_KURTOSIS, abs=0.3)
    typical = np.median([kurtosis(one) for one in gradients])  # of one picture: not due to differing contrasts
    assert typical > 2 * GAUSSIAN_KURTOSIS


def test_colours_are_those_of_photographs(pictures: NDArray[np.float32]) -> None:
    means = pictures.mean(axis=(0, 2, 3))
    np.testing.assert_allclose(means, NATURAL_MEAN, atol=0.07)
    assert means[0] > means[1] > means[2]
    assert np.all(np.abs(pictures.std(axis=(0, 2, 3)) - 0.27) < 0.08)
    planes = np.asarray(np.corrcoef(pictures.transpose(1, 0, 2, 3).reshape(3, -1)))
    assert planes[np.triu_indices(3, 1)].min() > 0.6
    assert planes[0, 2] == planes.min()


def test_grey_pictures_are_as_bright_as_colour_ones() -> None:
    grey = natural_images(seed=0, count=64, channels=1, height=32, width=32)
    assert grey.mean() == pytest.approx(NATURAL_MEAN.mean(), abs=0.06)


def test_pictures_differ_in_contrast(pictures: NDArray[np.float32]) -> None:
    contrast = pictures.std(axis=(1, 2, 3))
    assert np.quantile(contrast, 0.9) > 1.4 * np.quantile(contrast, 0.1)
