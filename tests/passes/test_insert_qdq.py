"""Inserted quantization computes what the qparams say, in ONNX Runtime with and without optimisation."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_graphs import model, node, op_types, random_feeds, run, weights

from zsq_export.errors import PlanError
from zsq_export.graph.saving import serialize_model
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning.plan import Plan, Role, TensorPlan, Use
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.linear import fake_quantize
from zsq_export.quantization.qparams import QParams

CONSTANTS = {"w": weights(4, 3, 3, 3), "b": weights(4)}
ZERO_POINTS = {QuantDtype.UINT8: 131, QuantDtype.UINT16: 33000, QuantDtype.UINT4: 7}


def _plan(*tensors: TensorPlan) -> Plan:
    return Plan(target="test", model_sha256="", equalized=False, tensors=tensors, float_ops=())


def _activation(
    name: str, *uses: tuple[str, int], dtype: QuantDtype = QuantDtype.UINT8, output: bool = False
) -> TensorPlan:
    scale = 8 / 2**dtype.bits
    qparams = QParams(scale=(scale,), zero_point=(ZERO_POINTS.get(dtype, 3),), dtype=dtype)
    return TensorPlan(
        tensor=name,
        role=Role.ACTIVATION,
        qparams=qparams,
        as_output=output,
        uses=tuple(Use(node=item, input_index=index) for item, index in uses),
    )


def _weight(dtype: QuantDtype = QuantDtype.INT8) -> TensorPlan:
    scale = np.abs(CONSTANTS["w"]).reshape(4, -1).max(axis=1) / dtype.limits[1]
    qparams = QParams(scale=tuple(map(float, scale)), zero_point=(0,) * 4, dtype=dtype, axis=0, narrow_range=True)
    return TensorPlan(tensor="w", role=Role.WEIGHT, qparams=qparams, uses=(Use(node="conv", input_index=1),))


def _bias() -> TensorPlan:
    qparams = QParams(scale=(1e-4, 2e-4, 3e-4, 4e-4), zero_point=(0,) * 4, dtype=QuantDtype.INT32, axis=0)
    return TensorPlan(tensor="b", role=Role.BIAS, qparams=qparams, uses=(Use(node="conv", input_index=2),))


def _net() -> ir.Model:
    return model([node("Conv", ["x", "w", "b"], "c", "conv"), node("Relu", ["c"], "y", "act")], CONSTANTS)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize(
    ("activation", "weight"),
    [
        (QuantDtype.UINT8, QuantDtype.INT8),
        (QuantDtype.INT8, QuantDtype.INT8),
        (QuantDtype.INT16, QuantDtype.INT8),
        (QuantDtype.UINT16, QuantDtype.INT16),
        (QuantDtype.UINT8, QuantDtype.INT4),
    ],
)
def test_values_are_those_of_fake_quantization(activation: QuantDtype, weight: QuantDtype, optimize: bool) -> None:
    built = _net()
    feeds = random_feeds(built)
    x, w, b = _activation("x", ("conv", 0), dtype=activation), _weight(weight), _bias()
    y = _activation("y", dtype=activation, output=True)
    reference = model(
        [node("Conv", ["x", "w", "b"], "c"), node("Relu", ["c"], "y")],
        {"w": fake_quantize(CONSTANTS["w"], w.qparams), "b": fake_quantize(CONSTANTS["b"], b.qparams)},
    )
    expected = fake_quantize(run(reference, {"x": fake_quantize(feeds["x"], x.qparams)})["y"], y.qparams)
    InsertQdq(_plan(x, w, b, y))(built)
    onnx.checker.check_model(onnx.load_from_string(serialize_model(built)), full_check=True)
    found = run(built, feeds, optimize=optimize)["y"]
    assert np.abs(found - expected).max() <= y.qparams.scale[0] * 1.001
    assert (np.abs(found - expected) > 1e-4).mean() < 0.01
    wide = {activation, weight} - {QuantDtype.UINT8, QuantDtype.INT8}
    assert built.opset_imports[""] == (21 if wide else 17)


def test_names_and_sharing() -> None:
    built = model(
        [
            node("Conv", ["x", "w"], "c", "conv"),
            node("Relu", ["c"], "r", "one"),
            node("Neg", ["c"], "n", "two"),
            node("Add", ["r", "n"], "s", "sum"),
            node("Add", ["s", "c"], "y", "last"),
        ],
        CONSTANTS,
    )
    InsertQdq(_plan(_activation("c", ("one", 0), ("two", 0)), _weight(), _activation("y", output=True)))(built)
    assert op_types(built).count("QuantizeLinear") == 2 and op_types(built).count("DequantizeLinear") == 3
    names = {str(item.name): [value.name for value in item.inputs if value is not None] for item in built.graph}
    assert names["one"] == names["two"] == ["c_dequantized"] and names["last"] == ["s", "c"]
    assert names["conv"] == ["x", "w_dequantized"] and "w" not in built.graph.initializers
    assert [value.name for value in built.graph.outputs] == ["y"]
    assert {"c", "y_float", "y"} <= {str(value.name) for item in built.graph for value in item.outputs}


def test_partly_used_weight_keeps_its_float_form() -> None:
    built = model(
        [node("Conv", ["x", "w"], "c", "conv"), node("Conv", ["x", "w"], "d", "other"), node("Add", ["c", "d"], "y")],
        CONSTANTS,
    )
    InsertQdq(_plan(_weight()))(built)
    assert {"w", "w_quantized"} <= set(built.graph.initializers)
    run(built, random_feeds(built))


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("activation", ["Clip", "Relu"])
@pytest.mark.parametrize("dtype", [QuantDtype.UINT4, QuantDtype.INT4])
def test_four_bits_behind_an_activation_load_and_compute_what_they_say(
    activation: str, dtype: QuantDtype, optimize: bool
) -> None:
    limits = ["low", "high"] if activation == "Clip" else []
    nodes = [node("Conv", ["x", "w"], "c", "conv"), node(activation, ["c", *limits], "a", "act"),
             node("Conv", ["a", "v"], "y", "last")]  # fmt: skip
    constants = {"w": CONSTANTS["w"], "v": weights(2, 4, 1, 1), "low": np.float32(0), "high": np.float32(6)}
    built = model(nodes, {name: np.asarray(array) for name, array in constants.items() if name in "wv" or limits})
    feeds = random_feeds(built)
    item = _activation("a", ("last", 0), dtype=dtype)
    quantized = built.clone()
    InsertQdq(_plan(item))(quantized)
    clipped = {"Relu": (0, None), "Clip": (0, 6)}[activation]
    middle = np.clip(run(_head(built), feeds)["c"], *clipped)
    expected = np.einsum("ncij,oc->noij", fake_quantize(middle, item.qparams), constants["v"][:, :, 0, 0])
    np.testing.assert_allclose(run(quantized, feeds, optimize=optimize)["y"], expected, rtol=1e-4, atol=1e-4)


def _head(built: ir.Model) -> ir.Model:
    graph = ir.convenience.extract(built.graph, inputs=list(built.graph.inputs), outputs=["c"])
    return ir.Model(graph, ir_version=built.ir_version)


@pytest.mark.parametrize(
    ("item", "part"),
    [
        (_activation("nothing"), "nothing"),
        (_activation("x", ("nobody", 0)), "nobody"),
        (_activation("x", ("act", 0)), "reads 'c', not 'x'"),
        (_activation("x", ("conv", 7)), "reads nothing"),
        (_activation("c", output=True), "planned as an output"),
        (TensorPlan(tensor="x", role=Role.WEIGHT, qparams=_weight().qparams, uses=()), "no constant"),
        (
            TensorPlan(
                tensor="b",
                role=Role.BIAS,
                uses=(),
                qparams=QParams(scale=(1.0,), zero_point=(5,), dtype=QuantDtype.INT32),
            ),
            "zero point 0",
        ),
    ],
)
def test_plans_that_do_not_fit_are_refused(item: TensorPlan, part: str) -> None:
    with pytest.raises(PlanError, match=part):
        InsertQdq(_plan(item))(_net())
