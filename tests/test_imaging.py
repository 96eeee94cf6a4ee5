from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zsq_export.errors import DataError
from zsq_export.imaging import PictureSize, apply_preprocessing, fit_pixels, list_pictures, read_picture
from zsq_export.preprocessing import ChannelOrder, Preprocessing

IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def random_pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_preprocessing_is_the_documented_formula() -> None:
    pixels = random_pixels(2, 4, 5, 3)
    found = apply_preprocessing(pixels, IMAGENET)
    expected = (pixels / 255 - np.array(IMAGENET.mean)) / np.array(IMAGENET.std)
    assert found.shape == (2, 3, 4, 5) and found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_allclose(found, expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)


def test_bgr_reverses_the_planes_and_keeps_the_constants_in_the_models_order() -> None:
    pixels = random_pixels(1, 2, 2, 3)
    bgr = Preprocessing(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0), channel_order=ChannelOrder.BGR)
    found = apply_preprocessing(pixels, bgr)
    np.testing.assert_allclose(found[:, 0], pixels[..., 2] / 255 - 0.1, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[:, 2], (pixels[..., 0] / 255 - 0.3) / 3, rtol=1e-5, atol=1e-6)


def test_one_constant_serves_every_channel() -> None:
    pixels = random_pixels(1, 2, 2, 3)
    one, three = (Preprocessing(mean=(0.5,) * n, std=(0.25,) * n) for n in (1, 3))
    np.testing.assert_array_equal(apply_preprocessing(pixels, one), apply_preprocessing(pixels, three))


def test_constants_for_another_number_of_channels_are_refused() -> None:
    with pytest.raises(DataError, match="3 values per constant but the pictures have 1"):
        apply_preprocessing(random_pixels(1, 2, 2, 1), IMAGENET)


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), rows=st.integers(8, 24), columns=st.integers(8, 24),
    resize=st.none() | st.integers(1, 40), channels=st.sampled_from([1, 3]),
)  # fmt: skip
def test_any_picture_gets_the_wanted_size(
    height: int, width: int, rows: int, columns: int, resize: int | None, channels: int
) -> None:
    size = PictureSize(rows, columns, channels)
    assert fit_pixels(np.zeros((height, width, channels), np.uint8), size, resize=resize).shape == size


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    pixels = random_pixels(32, 32, 3)
    np.testing.assert_array_equal(fit_pixels(pixels, PictureSize(32, 32, 3)), pixels)


def test_the_centre_is_kept() -> None:
    pixels = np.zeros((60, 20, 3), np.uint8)
    pixels[20:40] = 255
    np.testing.assert_array_equal(fit_pixels(pixels, PictureSize(20, 20, 3), resize=20), 255)


def test_resize_and_crop_are_those_of_the_usual_evaluation() -> None:
    pixels = random_pixels(300, 400, 3)
    resized = np.asarray(Image.fromarray(pixels).resize((341, 256), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(fit_pixels(pixels, PictureSize(224, 224, 3)), resized[16:240, 58:282])


def test_resize_applies_to_a_picture_that_would_fit_already() -> None:
    pixels = random_pixels(32, 32, 3)
    assert (fit_pixels(pixels, PictureSize(32, 32, 3), resize=32) == pixels).all()
    picture = fit_pixels(random_pixels(34, 34, 3), PictureSize(32, 32, 3), resize=34)
    assert picture.shape == (32, 32, 3)


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 3), ("RGBA", 3), ("P", 3), ("RGB", 1), ("1", 1)])
def test_every_kind_of_picture_becomes_rgb_or_grey(tmp_path: Path, mode: str, channels: int) -> None:
    Image.new(mode, (9, 9)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", PictureSize(8, 8, channels)).shape == (8, 8, channels)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0] = 255
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = 3
    picture.save(tmp_path / "a.png", exif=exif)
    found = read_picture(tmp_path / "a.png", PictureSize(8, 8, 3))
    assert found[7].min() == 255 and found[0].max() == 0


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n cut"])
def test_a_broken_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.png is not a readable picture"):
        read_picture(tmp_path / "bad.png", PictureSize(8, 8, 3))


def test_a_truncated_picture_is_named(tmp_path: Path) -> None:
    Image.fromarray(random_pixels(64, 64, 3)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:500])
    with pytest.raises(DataError, match=r"cut\.png"):
        read_picture(tmp_path / "cut.png", PictureSize(8, 8, 3))


def test_only_visible_pictures_are_listed_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [file.name for file in list_pictures(tmp_path)] == ["a.jpg", "b.PNG"]
