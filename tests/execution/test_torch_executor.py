"""The executor as a whole: real networks, gradients, taps, precision, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from digits import DigitsModel
from onnx import helper

from zsq_export.errors import ModelError, UnsupportedOpError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.execution.torch_executor import TorchExecutor

NETWORKS = (
    "cifar10/resnet20_akamaster",
    "cifar10/resnet20_chenyaofo",
    "cifar10/resnet56_akamaster",
    "cifar10/vit_d6_smmk47",
    "coco/fastestdet_352",
    "imagenet/efficientnet_lite0_224",
    "imagenet/mobilenetv1_075_224",
    "mlperf_tiny/ic_resnet8",
    "mlperf_tiny/kws_dscnn",
    "superres/espcn_x3_224",
)


def _model(nodes: list[onnx.NodeProto], opset: int = 18, **constants: np.ndarray) -> ir.Model:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9))


def _small_net() -> ir.Model:
    rng = np.random.default_rng(0)
    return _model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]),
            helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"], name="bn"),
            helper.make_node("HardSwish", ["n"], ["h"], name="act"),
            helper.make_node("AveragePool", ["h"], ["p"], kernel_shape=[2, 2], name="pool"),
            helper.make_node("Flatten", ["p"], ["f"], name="flat"),
            helper.make_node("Softmax", ["f"], ["y"], name="soft"),
        ],
        w=rng.normal(size=(3, 2, 3, 3)).astype(np.float64),
        s=rng.normal(size=3),
        b=rng.normal(size=3),
        m=rng.normal(size=3),
        v=rng.uniform(0.5, 2, size=3),
    )


def _batchnorm_inputs(model: ir.Model) -> list[str]:
    return [node.inputs[0].name for node in model.graph if node.op_type == "BatchNormalization"]


@pytest.mark.assets
@pytest.mark.parametrize("name", NETWORKS)
def test_real_networks_agree_with_onnx_runtime(assets_dir: Path, name: str) -> None:
    path = assets_dir / f"{name}.onnx"
    model = ir.load(path)
    value = model.graph.inputs[0]
    shape = [2, *(int(side) for side in list(value.shape)[1:])]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    taps = _batchnorm_inputs(model)
    expected = OrtSession(path, taps=taps).run({value.name: x})
    with torch.no_grad():
        trace = TorchExecutor(model)({value.name: torch.from_numpy(x)}, taps=taps)
    for key, wanted in expected.items():
        found = {**trace.outputs, **trace.taps}[key].numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_digits_network_agrees_with_onnx_runtime(digits_model: DigitsModel) -> None:
    x = digits_model.x_test[:3]
    model = ir.load(digits_model.path)
    name = model.graph.inputs[0].name
    expected = OrtSession(model).run({name: x})
    found = TorchExecutor(model)({name: torch.from_numpy(x)}).outputs
    for key, wanted in expected.items():
        np.testing.assert_allclose(found[key].numpy(), wanted, rtol=1e-3, atol=1e-4)


def test_gradient_equals_finite_differences() -> None:
    executor = TorchExecutor(_small_net(), channels_last=False)
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: executor({"x": v}).outputs["y"], (x,), atol=1e-6)


def test_only_the_inputs_get_gradients() -> None:
    executor = TorchExecutor(_small_net())
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    executor({"x": x}, taps=["c"]).taps["c"].sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert not any(constant.requires_grad for constant in executor._program.constants.values())


def test_layout_does_not_change_the_result() -> None:
    x = torch.randn(2, 2, 9, 7, dtype=torch.float64)
    plain, last = (TorchExecutor(_small_net(), channels_last=flag)({"x": x}).outputs["y"] for flag in (False, True))
    torch.testing.assert_close(plain, last)


def test_taps_are_kept_and_others_freed() -> None:
    executor = TorchExecutor(_small_net())
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    trace = executor({"x": x}, taps=["x", "n", "y", "w"])
    assert set(trace.taps) == {"x", "n", "y", "w"}
    values = executor._initial_values({"x": x})
    executor._run(values, frozenset())
    alive = {name for name, slot in executor._program.slots.items() if values[slot] is not None}
    assert alive == {"y", "w", "s", "b", "m", "v"}


@pytest.mark.assets
def test_another_spatial_size(assets_dir: Path) -> None:
    model = ir.load(assets_dir / "imagenet/efficientnet_lite0_224.onnx")
    x = torch.randn(1, 3, 112, 112)
    assert TorchExecutor(model)({"input": x}).outputs["output"].shape == (1, 1000)


@pytest.mark.assets
def test_bfloat16_is_close_and_taps_are_float32(assets_dir: Path) -> None:
    model = ir.load(assets_dir / "cifar10/resnet20_akamaster.onnx")
    taps = _batchnorm_inputs(model)
    x = {"input": torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))}
    exact = TorchExecutor(model)(x, taps=taps).taps
    rough = TorchExecutor(model, autocast_dtype=torch.bfloat16)(x, taps=taps).taps
    for name in taps:
        assert rough[name].dtype is torch.float32
        assert (rough[name] - exact[name]).square().mean() < 1e-2 * exact[name].square().mean()


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (helper.make_node("LSTM", ["x", "x", "x"], ["y"], name="bad", hidden_size=2), "LSTM node 'bad'"),
        (helper.make_node("Relu", ["x"], ["y"], name="bad", consumed_inputs=[0]), "attribute consumed_inputs"),
        (helper.make_node("Resize", ["x"], ["y"], name="bad", mode="lanczos"), "mode='lanczos'"),
        (helper.make_node("Cast", ["x"], ["y"], name="bad", to=onnx.TensorProto.FLOAT8E5M2), "FLOAT8E5M2"),
        (helper.make_node("Gelu", ["x"], ["y"], name="bad", domain="com.microsoft"), "domain 'com.microsoft'"),
        (helper.make_node("Dropout", ["x", "", "t"], ["y"], name="bad"), "training mode"),
    ],
)
def test_unknown_constructs_are_refused_at_construction(node: onnx.NodeProto, text: str) -> None:
    with pytest.raises(UnsupportedOpError, match="'bad'") as caught:
        TorchExecutor(_model([node], t=np.array(True)))
    assert text in str(caught.value)


def test_an_opset_it_was_not_checked_for_is_refused() -> None:
    with pytest.raises(UnsupportedOpError, match="opset 11"):
        TorchExecutor(_model([helper.make_node("Relu", ["x"], ["y"])], opset=11))


def test_a_shape_that_does_not_fit_names_the_node() -> None:
    executor = TorchExecutor(_small_net())
    with pytest.raises(ModelError, match=r"Conv node 'conv' failed on inputs float64\[1, 5, 8, 8\]"):
        executor({"x": torch.zeros(1, 5, 8, 8, dtype=torch.float64)})


@pytest.mark.parametrize("inputs", [{}, {"x": torch.zeros(1, 2, 8, 8), "z": torch.zeros(1)}])
def test_missing_and_unknown_inputs(inputs: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ModelError, match="input '"):
        TorchExecutor(_small_net())(inputs)


def test_unknown_tap() -> None:
    with pytest.raises(ModelError, match="'nowhere'"):
        TorchExecutor(_small_net())({"x": torch.zeros(1, 2, 8, 8, dtype=torch.float64)}, taps=["nowhere"])


def test_constants_are_computed_once() -> None:
    nodes = [
        helper.make_node("Shape", ["w"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["z"]),
        helper.make_node("Add", ["x", "z"], ["y"]),
    ]
    executor = TorchExecutor(_model(nodes, w=np.zeros((2, 3), np.float32)))
    assert [step.node.op_type for step in executor._program.steps] == ["Add"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu(digits_model: DigitsModel) -> None:
    model = ir.load(digits_model.path)
    name = model.graph.inputs[0].name
    x = torch.from_numpy(digits_model.x_test[:3])
    expected = TorchExecutor(model)({name: x}).outputs
    for key, found in TorchExecutor(model, device="cuda")({name: x}).outputs.items():
        torch.testing.assert_close(found.cpu(), expected[key], rtol=1e-2, atol=1e-3)
