from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zsq_export.errors import DataError
from zsq_export.imaging import PictureSize, fit_picture
from zsq_export.placing import geometry_of, place_mask, place_picture
from zsq_export.preprocessing import Fit, Interpolation, Preprocessing

UNIT = Preprocessing(mean=(0.0,), std=(1.0,))
SIZE = PictureSize(64, 96, 3)
RNG = np.random.default_rng(0)


def spec(fit: Fit, interpolation: Interpolation = Interpolation.BICUBIC) -> Preprocessing:
    return replace(UNIT, fit=fit, interpolation=interpolation)


def picture(height: int, width: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("interpolation", list(Interpolation))
@pytest.mark.parametrize("fit", [Fit.CROP, Fit.STRETCH, Fit.LETTERBOX, Fit.LETTERBOX_CORNER])
@pytest.mark.parametrize("shape", [(100, 50), (40, 300), (64, 96), (7, 9)])
def test_every_picture_gets_the_size_of_the_input(
    shape: tuple[int, int], fit: Fit, interpolation: Interpolation
) -> None:
    assert place_picture(picture(*shape), SIZE, spec(fit, interpolation)).size == (96, 64)


def test_cropping_is_what_it_always_was() -> None:
    original = picture(200, 130)
    for resize in (None, 100):
        ours = place_picture(original, SIZE, replace(UNIT, resize=resize))
        assert np.array_equal(np.asarray(ours), np.asarray(fit_picture(original, SIZE, resize=resize)))


def test_letterboxes_are_filled_and_padding_goes_on_with_the_edge() -> None:
    white = Image.new("RGB", (96, 32), (255, 255, 255))
    middle = np.asarray(place_picture(white, SIZE, spec(Fit.LETTERBOX)))
    assert (middle[16:48] == 255).all() and (middle[:16] == 114).all() and (middle[48:] == 114).all()
    corner = np.asarray(place_picture(white, SIZE, replace(spec(Fit.LETTERBOX_CORNER), fill=0)))
    assert (corner[:32] == 255).all() and (corner[32:] == 0).all()
    padded = np.asarray(place_picture(picture(10, 20), SIZE, spec(Fit.PAD)))
    assert (padded[10:] == padded[9]).all() and (padded[:, 20:] == padded[:, 19:20]).all()
    with pytest.raises(DataError, match="97x64"):
        place_picture(picture(64, 97), SIZE, spec(Fit.PAD))


def test_the_linear_filter_of_opencv_looks_at_four_neighbours() -> None:
    """cv2.resize(..., INTER_LINEAR): centres of pixels, no averaging where it reduces."""
    source = RNG.integers(0, 256, (30, 50, 3), np.uint8)
    ours = np.asarray(
        place_picture(Image.fromarray(source), PictureSize(11, 13, 3), spec(Fit.STRETCH, Interpolation.OPENCV_LINEAR))
    )
    x, y = ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in ((13, 50), (11, 30)))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[None, :, None], (y - top)[:, None, None]
    exact = source.astype(np.float64)
    rows = [exact[r][left] * (1 - fx[0]) + exact[r][left + 1] * fx[0] for r in range(30)]
    blended = np.stack(rows)[top] * (1 - fy) + np.stack(rows)[top + 1] * fy
    assert np.abs(ours - blended).max() <= 1


@settings(deadline=None)
@given(st.integers(20, 300), st.integers(20, 300), st.sampled_from([fit for fit in Fit if fit is not Fit.PAD]))
def test_boxes_find_their_way_back(height: int, width: int, fit: Fit) -> None:
    geometry = geometry_of(width, height, SIZE, spec(fit))
    box = np.array([[3.0, 4.0, 17.0, 19.0]])
    scale, offset = [geometry.scale_x, geometry.scale_y] * 2, [geometry.left, geometry.top] * 2
    assert geometry.to_picture(box * scale + offset) == pytest.approx(box)


@pytest.mark.parametrize("fit", list(Fit))
def test_a_mask_moves_like_its_picture(fit: Fit) -> None:
    """A picture of two flat halves, and a mask that says which half."""
    height, width = (50, 80) if fit is not Fit.PAD else (40, 60)
    mask = np.zeros((height, width), np.int64)
    mask[:, width // 2 :] = 1
    shown = Image.fromarray(np.repeat((mask * 200 + 20).astype(np.uint8)[..., None], 3, axis=2))
    placed = np.asarray(place_picture(shown, SIZE, spec(fit)))[..., 0]
    moved = place_mask(mask, SIZE, spec(fit))
    assert moved.shape == (64, 96)
    assert (placed[moved == 0] < 110).mean() > 0.97 and (placed[moved == 1] > 110).mean() > 0.97
    beside = moved == -1
    assert beside.any() == (fit in (Fit.LETTERBOX, Fit.LETTERBOX_CORNER, Fit.PAD))
