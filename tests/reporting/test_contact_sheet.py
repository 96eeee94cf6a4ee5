from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from zsq_export.preprocessing import ChannelOrder, Preprocessing
from zsq_export.reporting.contact_sheet import contact_sheet

IMAGENET = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))


def opened(content: bytes | None) -> np.ndarray:
    assert content is not None
    return np.asarray(Image.open(io.BytesIO(content)))


def normalised(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    return ((pixels - np.float32(preprocessing.mean)) / np.float32(preprocessing.std)).astype(np.float32)


@pytest.mark.parametrize("channels_last", [False, True])
def test_pictures_look_as_they_did_before_normalisation(channels_last: bool) -> None:
    pixels = np.zeros((1, 96, 96, 3), np.float32)
    pixels[..., 0] = 1.0
    array = normalised(pixels, IMAGENET)
    sheet = opened(contact_sheet({"x": array if channels_last else array.transpose(0, 3, 1, 2)}, IMAGENET))
    assert sheet.shape == (96, 96, 4) and (sheet == [255, 0, 0, 255]).all()


def test_blue_first_is_turned_round() -> None:
    bgr = Preprocessing(mean=(0.0,), std=(1.0,), channel_order=ChannelOrder.BGR)
    blue = np.zeros((1, 3, 96, 96), np.float32)
    blue[:, 0] = 1.0
    assert (opened(contact_sheet({"x": blue}, bgr))[..., :3] == [0, 0, 255]).all()


def test_small_pictures_keep_their_pixels_and_many_are_thinned_out() -> None:
    grey = Preprocessing(mean=(0.0,), std=(1.0,))
    shades = np.linspace(0, 1, 64, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 32, 32), np.float32)
    sheet = opened(contact_sheet({"x": shades}, grey))
    assert sheet.shape == (2 * 96 + 4, 8 * 96 + 7 * 4, 4)
    assert (sheet[96:100, :, 3] == 0).all(), "the gap is transparent"
    assert sheet[0, 0, 0] == 0 and sheet[100, 0, 0] == round(255 * 32 / 63)


def test_what_is_no_picture_is_a_map_of_its_last_two_axes() -> None:
    field = np.arange(49 * 10, dtype=np.float32).reshape(1, 1, 49, 10)
    sheet = opened(contact_sheet({"x": field}, None))
    assert sheet.shape == (49, 10, 4) and sheet[0, 0, 0] == 0 and sheet[-1, -1, 0] == 255


def test_a_vector_cannot_be_shown() -> None:
    assert contact_sheet({"x": np.ones((4, 640), np.float32)}, None) is None
    assert contact_sheet({}, None) is None


def test_the_same_inputs_give_the_same_bytes() -> None:
    noise = np.random.default_rng(0).random((20, 3, 224, 224), np.float32)
    assert contact_sheet({"x": noise}, IMAGENET) == contact_sheet({"x": noise}, IMAGENET)
