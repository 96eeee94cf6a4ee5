"""Weights in files beside the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_graphs import assert_close, node, proto, run, weights, write

from zsq_export.errors import ModelError
from zsq_export.graph import external
from zsq_export.graph.loading import load_model
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.saving import save_model, serialize_model
from zsq_export.graph.source import source_file

X = {"x": weights(2, 3, 8, 8)}


def _external(folder: Path, location: str = "weights.bin", *, content: bytes | None = None, **entries: object) -> Path:
    """A model whose only weight lies in another file."""
    built = proto([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)})
    tensor = built.graph.initializer[0]
    raw, tensor.raw_data = tensor.raw_data, b""
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    (folder / "weights.bin").write_bytes(raw if content is None else content)
    return write(folder, built)


def test_external_weights_are_read(tmp_path: Path) -> None:
    path = _external(tmp_path)
    assert_close(run(path, X), run(serialize_model(load_model(path)), X))


def test_large_external_weights_stay_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _external(tmp_path)
    monkeypatch.setattr(external.bring_into_memory, "__defaults__", (0,))
    loaded = load_model(path)
    assert isinstance(loaded.graph.initializers["w"].const_value, ir.ExternalTensor)
    assert_close(run(path, X), run(serialize_model(loaded), X))
    assert isinstance(loaded.graph.initializers["w"].const_value, ir.ExternalTensor)


@pytest.mark.parametrize(
    "location", ["/etc/hostname", "../weights.bin", "sub/../../weights.bin", "link.bin", "links/weights.bin"]
)
def test_a_path_that_leaves_the_folder_is_never_opened(location: str, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "model"
    outside.mkdir()
    folder.mkdir()
    (outside / "weights.bin").write_bytes(weights(4, 3, 3, 3).tobytes())
    (tmp_path / "weights.bin").write_bytes(weights(4, 3, 3, 3).tobytes())
    (folder / "link.bin").symlink_to(outside / "weights.bin")
    (folder / "links").symlink_to(outside)
    path = _external(folder, location)
    for read in (load_model, source_file, prepare_model):
        with pytest.raises(ModelError, match=r"'w'.*leaves the model's folder"):
            read(path)


def test_missing_and_truncated_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'w'.*'other\.bin' is missing"):
        load_model(_external(tmp_path, "other.bin"))
    with pytest.raises(ModelError, match=r"'w'.*truncated, 432 bytes expected, 10 found"):
        load_model(_external(tmp_path, content=b"0123456789"))


@pytest.mark.parametrize("entries", [{"offset": "many"}, {"length": 8}, {"offset": -4}])
def test_nonsense_numbers(entries: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'w'"):
        load_model(_external(tmp_path, **entries))


def test_saving_beyond_the_limit_goes_to_two_files(tmp_path: Path) -> None:
    loaded = load_model(write(tmp_path, proto([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)})))
    path = tmp_path / "big.onnx"
    assert save_model(loaded, path, limit=100) == ("big.onnx", "big.onnx.data")
    assert not isinstance(loaded.graph.initializers["w"].const_value, ir.ExternalTensor)
    assert_close(run(loaded, X), run(path, X))
    assert_close(run(loaded, X), run(prepare_model(path).folded, X))
    with pytest.raises(ModelError, match="432 bytes"):
        serialize_model(loaded, limit=100)


def test_saving_below_the_limit_is_one_file_of_the_same_bytes(tmp_path: Path) -> None:
    loaded = load_model(write(tmp_path, proto([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)})))
    assert save_model(loaded, tmp_path / "one.onnx") == ("one.onnx",)
    assert (tmp_path / "one.onnx").read_bytes() == serialize_model(loaded) == serialize_model(loaded.clone())


def test_source_hash_covers_the_weights(tmp_path: Path) -> None:
    path = _external(tmp_path)
    before = source_file(path)
    (tmp_path / "weights.bin").write_bytes(np.zeros(108, np.float32).tobytes())
    assert before.path == path and source_file(path).sha256 != before.sha256


def test_source_hash_of_one_file_is_the_plain_one(tmp_path: Path) -> None:
    import hashlib

    path = write(tmp_path, proto([node("Relu", ["x"], "y")]))
    assert source_file(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
