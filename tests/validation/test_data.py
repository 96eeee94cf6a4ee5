from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digits import DigitsModel
from PIL import Image

from zsq_export.errors import DataError
from zsq_export.graph.prepared import InputInfo
from zsq_export.preprocessing import ChannelOrder, Preprocessing
from zsq_export.validation.data import load_labelled
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.samples import Samples, samples_from_arrays

INPUT = InputInfo(name="x", shape=(None, 3, 8, 8))
GREY = InputInfo(name="x", shape=(None, 1, 8, 8))
UNIT = Preprocessing(mean=(0.0,), std=(1.0,))


def save_picture(file: Path, value: int, side: int = 8) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (value, value, value)).save(file)


def everything(samples: Samples, size: int = 4) -> np.ndarray:
    return np.concatenate([batch.feeds["x"] for batch in samples.batches(size)])


def labels(samples: Samples) -> list[int]:
    assert samples.labels is not None
    return samples.labels.tolist()


def class_folders(root: Path, names: tuple[str, ...]) -> Path:
    for value, name in enumerate(names):
        save_picture(root / name / "a.png", value)
    return root


def test_integer_folder_names_are_the_class_indices(tmp_path: Path) -> None:
    samples = load_labelled(class_folders(tmp_path, ("10", "2", "007")), INPUT, UNIT)
    by_label = dict(zip(labels(samples), everything(samples)[:, 0, 0, 0] * 255, strict=True))
    assert by_label == pytest.approx({10: 0, 2: 1, 7: 2})


def test_other_folder_names_count_in_sorted_order(tmp_path: Path) -> None:
    samples = load_labelled(class_folders(tmp_path, ("zebra", "ant", "9")), INPUT, UNIT)
    by_label = dict(zip(labels(samples), everything(samples)[:, 0, 0, 0] * 255, strict=True))
    assert by_label == pytest.approx({2: 0, 1: 1, 0: 2})


def test_labels_txt_gives_the_order_of_class_folders(tmp_path: Path) -> None:
    class_folders(tmp_path, ("zebra", "ant"))
    (tmp_path / "labels.txt").write_text("zebra\nbee\nant\n")
    assert labels(load_labelled(tmp_path, INPUT, UNIT)) == [2, 0]


def test_labels_txt_that_lacks_a_folder_is_refused(tmp_path: Path) -> None:
    class_folders(tmp_path, ("zebra", "ant"))
    (tmp_path / "labels.txt").write_text("zebra\n")
    with pytest.raises(DataError, match=r"labels\.txt does not list the class folder 'ant'"):
        load_labelled(tmp_path, INPUT, UNIT)


@pytest.mark.parametrize(
    ("name", "text"), [("labels.csv", "file,label\nb.png,3\na.png, 1\n"), ("labels.txt", "b.png 3\na.png 1\n\n")]
)
def test_label_files_name_picture_and_class(tmp_path: Path, name: str, text: str) -> None:
    save_picture(tmp_path / "a.png", 10)
    save_picture(tmp_path / "b.png", 20)
    (tmp_path / name).write_text(text)
    samples = load_labelled(tmp_path, INPUT, UNIT)
    assert labels(samples) == [3, 1]
    np.testing.assert_allclose(everything(samples)[:, 0, 0, 0] * 255, [20, 10])


@pytest.mark.parametrize("text", ["a.png,x\nb.png,1\n", "gone.png,1\na.png,2\n", "a.png,1,2\n", "a.png\n"])
def test_a_label_file_that_does_not_fit_is_refused(tmp_path: Path, text: str) -> None:
    save_picture(tmp_path / "a.png", 0)
    save_picture(tmp_path / "b.png", 0)
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=r"labels\.csv, entry 1"):
        load_labelled(tmp_path, INPUT, UNIT)


def test_flat_folder_without_labels_is_unlabelled(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    samples = load_labelled(tmp_path, INPUT, UNIT)
    assert samples.labels is None and not samples.used().labelled and samples.origin is InputOrigin.REAL


def test_folder_pictures_are_resized_and_preprocessed_as_arrays_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 11, 14, 3), dtype=np.uint8)
    for index, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    np.savez(tmp_path / "data.npz", x=pixels)
    spec = Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), channel_order=ChannelOrder.BGR, resize=10)
    from_files = everything(load_labelled(tmp_path, INPUT, spec), 2)
    from_array = everything(load_labelled(tmp_path / "data.npz", INPUT, spec))
    assert from_files.shape == (3, 3, 8, 8)
    np.testing.assert_array_equal(from_files, from_array)


def test_pictures_are_read_only_when_their_batch_comes(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    (tmp_path / "b.png").write_bytes(b"broken")
    batches = load_labelled(tmp_path, INPUT, UNIT).batches(1)
    next(batches)
    with pytest.raises(DataError, match=r"b\.png"):
        next(batches)


def test_open_sides_take_the_size_that_was_asked_for(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0, side=40)
    free = InputInfo(name="x", shape=(None, 3, None, None))
    assert everything(load_labelled(tmp_path, free, UNIT)).shape == (1, 3, 224, 224)
    spec = Preprocessing(mean=(0.0,), std=(1.0,), resize=16)
    assert everything(load_labelled(tmp_path, free, spec)).shape == (1, 3, 16, 16)


def test_digits_from_npz_equal_the_models_own_inputs(tmp_path: Path, digits_model: DigitsModel) -> None:
    info = InputInfo(name="x", shape=(None, 1, 16, 16))
    for x in (digits_model.x_pixels, digits_model.x_pixels.transpose(0, 3, 1, 2), digits_model.x_pixels[..., 0]):
        np.savez(tmp_path / "digits.npz", x=x, y=digits_model.y_test)
        samples = load_labelled(tmp_path / "digits.npz", info, digits_model.preprocessing)
        np.testing.assert_allclose(everything(samples, 64), digits_model.x_test, atol=1e-6)
        assert labels(samples) == digits_model.y_test.tolist()


def test_float_arrays_are_taken_as_they_are(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 7, 3))
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(5)[:, None])
    samples = load_labelled(tmp_path / "a.npz", InputInfo(name="x", shape=(None, 7, None)), None)
    np.testing.assert_array_equal(everything(samples, 2), x.astype(np.float32))
    assert labels(samples) == [0, 1, 2, 3, 4]


BAD_ARRAYS: list[tuple[dict[str, Any], InputInfo, Preprocessing | None, str]] = [
    ({"images": np.zeros((1, 3, 8, 8))}, INPUT, None, "has no array x, only: images"),
    (
        {"x": np.zeros((2, 3, 9, 8), np.float32)},
        INPUT,
        None,
        r"x is float \[2, 3, 9, 8\], expected \[samples, 3, 8, 8\]",
    ),
    ({"x": np.zeros((2, 8, 8, 3), np.float32)}, INPUT, None, r"expected \[samples, 3, 8, 8\]"),
    ({"x": np.zeros((2, 8, 8, 3), np.int64)}, INPUT, UNIT, "x is int64, expected uint8 pixels or floats"),
    ({"x": np.zeros((2, 8, 8, 4), np.uint8)}, INPUT, UNIT, r"x is uint8 \[2, 8, 8, 4\], expected pixels"),
    ({"x": np.zeros((2, 8, 8, 3), np.uint8)}, INPUT, None, "no preprocessing is known"),
    ({"x": np.zeros((2, 9), np.uint8)}, InputInfo(name="x", shape=(None, 9)), UNIT, "takes no pictures"),
    ({"x": np.zeros((0, 3, 8, 8), np.float32)}, INPUT, None, "at least one sample"),
    ({"x": np.zeros((2, 3, 8, 8)), "y": np.zeros(3, int)}, INPUT, None, r"y is int64 \[3\], expected one integer"),
    ({"x": np.zeros((2, 3, 8, 8)), "y": np.eye(10)[:2]}, INPUT, None, "one-hot labels"),
    ({"x": np.zeros((2, 3, 8, 8)), "y": np.array([0, -1])}, INPUT, None, "negative class index -1"),
    ({"x": np.array([object()])}, INPUT, None, "cannot read"),
]


@pytest.mark.parametrize(("arrays", "info", "spec", "message"), BAD_ARRAYS)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, Any], info: InputInfo, spec: Preprocessing | None, message: str
) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        load_labelled(tmp_path / "bad.npz", info, spec)
    assert "bad.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_nan_is_refused_when_it_is_read(tmp_path: Path) -> None:
    x = np.zeros((4, 3, 8, 8), np.float32)
    x[2, 0, 0, 0] = np.nan
    np.savez(tmp_path / "nan.npz", x=x)
    with pytest.raises(DataError, match=r"nan\.npz: x holds NaN or infinity in samples 2\.\.3"):
        everything(load_labelled(tmp_path / "nan.npz", INPUT, None), 2)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*a\.npz"):
        load_labelled(tmp_path / "a.npz", INPUT, UNIT)


def test_nothing_there_or_the_wrong_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no data at"):
        load_labelled(tmp_path / "gone", INPUT, UNIT)
    (tmp_path / "a.csv").touch()
    with pytest.raises(DataError, match=r"neither a folder nor an \.npz"):
        load_labelled(tmp_path / "a.csv", INPUT, UNIT)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        load_labelled(tmp_path / "empty", INPUT, UNIT)


def test_spread_takes_samples_at_equal_distances_with_their_labels() -> None:
    x = np.arange(10, dtype=np.float32)[:, None]
    samples = samples_from_arrays({"x": x}, labels=np.arange(10)).spread(4)
    assert labels(samples) == [0, 2, 5, 7]
    np.testing.assert_array_equal(everything(samples, 3)[:, 0], [0, 2, 5, 7])
    np.testing.assert_array_equal(everything(samples.head(2))[:, 0], [0, 2])


def test_inputs_of_different_length_are_refused() -> None:
    with pytest.raises(DataError, match="different numbers of samples"):
        samples_from_arrays({"a": np.zeros((2, 1), np.float32), "b": np.zeros((3, 1), np.float32)})
