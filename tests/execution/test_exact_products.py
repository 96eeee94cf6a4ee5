"""Products of quantized operands: equal to ONNX Runtime's, and the same however they are computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
import torch
from onnx_graphs import Arrays, model, node, run

from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.execution.torch_executor.products import ExactProduct, exact_product
from zsq_export.quantization.metrics import sqnr_db

_RANDOM = np.random.default_rng(5)


def _quantized(name: str, dtype: type, zero_point: int) -> tuple[list[onnx.NodeProto], Arrays]:
    constants = {
        f"{name}_scale": np.float32(0.037),
        f"{name}_zero": np.array(zero_point, dtype),
    }
    return [
        node("QuantizeLinear", [name, f"{name}_scale", f"{name}_zero"], f"{name}_q"),
        node("DequantizeLinear", [f"{name}_q", f"{name}_scale", f"{name}_zero"], f"{name}_dq"),
    ], constants


def _weight(shape: Sequence[int], axis: int, dtype: type = np.int8) -> tuple[list[onnx.NodeProto], Arrays]:
    limits = np.iinfo(dtype)
    constants = {
        "w_q": _RANDOM.integers(limits.min, limits.max, shape, endpoint=True, dtype=dtype),
        "w_scale": _RANDOM.uniform(0.01, 0.02, shape[axis]).astype(np.float32),
        "w_zero": np.zeros(shape[axis], dtype),
    }
    return [node("DequantizeLinear", ["w_q", "w_scale", "w_zero"], "w_dq", axis=axis)], constants


CASES = {
    "conv": (("N", 3, 9, 9), node("Conv", ["x_dq", "w_dq", "b"], "y", pads=[1, 1, 1, 1]), (4, 3, 3, 3), 0),
    "conv, strides": (("N", 4, 9, 9), node("Conv", ["x_dq", "w_dq"], "y", strides=[2, 2]), (4, 4, 3, 3), 0),
    "depthwise conv": (("N", 4, 9, 9), node("Conv", ["x_dq", "w_dq", "b"], "y", group=4), (4, 1, 3, 3), 0),
    "gemm": (("N", 40), node("Gemm", ["x_dq", "w_dq", "b"], "y", transB=1), (4, 40), 0),
    "gemm, not transposed": (("N", 40), node("Gemm", ["x_dq", "w_dq", "b"], "y", alpha=1.0), (40, 4), 1),
    "matmul": (("N", 5, 40), node("MatMul", ["x_dq", "w_dq"], "y"), (40, 4), 1),
}


@pytest.mark.parametrize("weight_dtype", [np.int8, np.int16])
@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int8, 0), (np.uint8, 117), (np.int8, -128)])
@pytest.mark.parametrize("case", CASES)
def test_a_product_with_a_weight_is_that_of_onnx_runtime(
    case: str, dtype: type, zero_point: int, weight_dtype: type
) -> None:
    shape, product, weight_shape, axis = CASES[case]
    quantized, parameters = _quantized("x", dtype, zero_point)
    dequantized, weight = _weight(weight_shape, axis, weight_dtype)
    bias = {"b": _RANDOM.normal(size=4).astype(np.float32)} if "b" in product.input else {}
    graph = model([*quantized, *dequantized, product], {**parameters, **weight, **bias}, inputs={"x": shape}, opset=21)
    x = _RANDOM.normal(size=[3, *shape[1:]]).astype(np.float32) * 2
    executor = TorchExecutor(graph)
    found = executor({"x": torch.from_numpy(x)}).outputs["y"].numpy()
    assert sqnr_db(run(graph, {"x": x})["y"], found) > 110
    assert _kernel_of(executor, "y_node") == "product"


def test_a_product_of_two_activations_is_that_of_onnx_runtime() -> None:
    left, left_parameters = _quantized("x", np.uint8, 120)
    right, right_parameters = _quantized("z", np.int8, -3)
    graph = model(
        [*left, *right, node("MatMul", ["x_dq", "z_dq"], "y")],
        {**left_parameters, **right_parameters},
        inputs={"x": ("N", 5, 300), "z": ("N", 300, 6)},
        opset=21,
    )
    feeds = {"x": _RANDOM.normal(size=(2, 5, 300)), "z": _RANDOM.normal(size=(2, 300, 6))}
    feeds = {name: array.astype(np.float32) for name, array in feeds.items()}
    executor = TorchExecutor(graph)
    found = executor({name: torch.from_numpy(array) for name, array in feeds.items()}).outputs["y"].numpy()
    assert sqnr_db(run(graph, feeds)["y"], found) > 110
    assert _kernel_of(executor, "y_node") == "product"


def test_a_pool_between_leaves_the_product_exact() -> None:
    quantized, parameters = _quantized("x", np.uint8, 117)
    dequantized, weight = _weight((4, 3, 3, 3), 0)
    pool = node("MaxPool", ["x_dq"], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    conv = node("Conv", ["pooled", "w_dq"], "y")
    graph = model([*quantized, pool, *dequantized, conv], {**parameters, **weight}, opset=21)
    x = _RANDOM.normal(size=(2, 3, 8, 8)).astype(np.float32) * 2
    executor = TorchExecutor(graph)
    found = executor({"x": torch.from_numpy(x)}).outputs["y"].numpy()
    assert sqnr_db(run(graph, {"x": x})["y"], found) > 110
    assert _kernel_of(executor, "y_node") == "product"


def test_the_last_bit_does_not_depend_on_the_layout() -> None:
    shape, product, weight_shape, axis = ("N", 64, 14, 14), CASES["conv"][1], (96, 64, 3, 3), 0
    quantized, parameters = _quantized("x", np.uint8, 117)
    dequantized, weight = _weight(weight_shape, axis)
    bias = {"b": _RANDOM.normal(size=96).astype(np.float32)}
    graph = model([*quantized, *dequantized, product], {**parameters, **weight, **bias}, inputs={"x": shape}, opset=21)
    x = torch.from_numpy(_RANDOM.normal(size=(2, 64, 14, 14)).astype(np.float32))
    first, second = (TorchExecutor(graph, channels_last=last)({"x": x}).outputs["y"] for last in (True, False))
    assert torch.equal(first, second)


def test_a_scaled_gemm_stays_as_it_is() -> None:
    quantized, parameters = _quantized("x", np.int8, 0)
    dequantized, weight = _weight((40, 4), 1)
    scaled = node("Gemm", ["x_dq", "w_dq"], "y", alpha=0.5)
    graph = model([*quantized, *dequantized, scaled], {**parameters, **weight}, inputs={"x": ("N", 40)}, opset=21)
    (gemm,) = [item for item in graph.graph if item.op_type == "Gemm"]
    found: ExactProduct | None = exact_product(gemm, torch.matmul, lambda _: torch.zeros(1))
    assert found is None


def _kernel_of(executor: TorchExecutor, name: str) -> str:
    (step,) = [step for step in executor._program.steps if step.node.name == name]
    return step.kernel.__name__
