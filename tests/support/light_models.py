"""Real architectures from the onnx package's own test data, given random weights and an operator set of today."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, version_converter

LIGHT_MODELS = {"densenet121": 121, "inception_v1": 0, "inception_v2": 69, "shufflenet": 49, "squeezenet": 0}
"""Name -> number of BatchNormalizations; those whose weights are small enough for a quick test."""


def write_light_model(name: str, folder: Path) -> Path:
    """The files hold no weights but ConstantOfShape nodes: those become random initializers, opset 9 becomes 11."""
    source = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
    model = onnx.load(source)
    shapes = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    reader = {tensor: (node.op_type, slot) for node in model.graph.node for slot, tensor in enumerate(node.input)}
    rng = np.random.default_rng(0)
    kept = []
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in shapes:
            array = _weight(rng, shapes[node.input[0]], reader[node.output[0]])
            model.graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.ir_version = 8
    path = folder / f"{name}.onnx"
    path.write_bytes(version_converter.convert_version(model, 11).SerializeToString())
    return path


def _weight(rng: np.random.Generator, shape: NDArray[np.int64], reader: tuple[str, int]) -> NDArray[np.float32]:
    """Weights that keep magnitudes, positive variances."""
    array = rng.normal(size=shape).astype(np.float32)
    if reader in (("Conv", 1), ("Gemm", 1)):
        return array * np.float32(np.sqrt(2 / max(1, int(np.prod(shape[1:])))))
    if reader in (("BatchNormalization", 1), ("BatchNormalization", 4)):
        return np.abs(array) * np.float32(0.2) + np.float32(0.9)
    return array * np.float32(0.1)
