"""BatchNormalization folded exactly, whatever stands before it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import (
    assert_close,
    assert_pass_keeps_outputs,
    batchnorm,
    batchnorm_constants,
    model,
    node,
    op_types,
    random_feeds,
    run,
    weights,
)

from zsq_export.passes.fold_batchnorm import FoldBatchNorm
from zsq_export.passes.own_biases import OwnBiases


@st.composite
def weighted_op(draw: st.DrawFn) -> ir.Model:
    """One weighted op of random shape, with or without bias, a BatchNormalization, an activation.

    The activation keeps all values: what a Relu leaves can be far smaller than the terms that it is a sum of, whose
    rounding the tolerance would then not allow for.
    """
    spatial = draw(st.integers(1, 3))
    groups, inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel = draw(st.lists(st.integers(1, 3), min_size=spatial, max_size=spatial))
    op_type = draw(st.sampled_from(["Conv", "ConvTranspose"]))
    first, second = (groups * outputs, inputs) if op_type == "Conv" else (groups * inputs, outputs)
    strides = draw(st.lists(st.integers(1, 2), min_size=spatial, max_size=spatial))
    constants = {"w": weights(first, second, *kernel), **batchnorm_constants("p", groups * outputs)}
    bias = draw(st.booleans())
    if bias:
        constants["b"] = weights(groups * outputs, seed=3)
    op = node(op_type, ["x", "w", "b"][: 2 + bias], "c", group=groups, strides=strides)
    nodes = [
        op,
        batchnorm("c", "n", "p", epsilon=draw(st.sampled_from([1e-5, 0.1]))),
        node("LeakyRelu", ["n"], "y", alpha=0.5),
    ]
    return model(nodes, constants, inputs={"x": ("N", groups * inputs, *[5] * spatial)})


@given(weighted_op())
@settings(max_examples=40, deadline=None)
def test_any_convolution(built: ir.Model) -> None:
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert len(op_types(built)) == 2
    assert built.graph[0].outputs[0].name == "n"


@pytest.mark.parametrize("trans", [0, 1])
def test_gemm(trans: int) -> None:
    shape = (6, 5) if trans else (5, 6)
    built = model(
        [node("Gemm", ["x", "w"], "c", transB=trans), batchnorm("c", "y", "p")],
        {"w": weights(*shape), **batchnorm_constants("p", 6)},
        inputs={"x": ("N", 5)},
    )
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert op_types(built) == ["Gemm"]


@pytest.mark.parametrize("bias", [None, "left", "right"])
def test_matmul(bias: str | None) -> None:
    nodes = [node("MatMul", ["x", "w"], "m")]
    if bias:
        nodes.append(node("Add", ["b", "m"] if bias == "left" else ["m", "b"], "a"))
    nodes.append(batchnorm(nodes[-1].output[0], "y", "p"))
    built = model(nodes, {"w": weights(5, 6), "b": weights(6), **batchnorm_constants("p", 6)}, inputs={"x": ("N", 5)})
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert op_types(built) == ["MatMul", "Add"] and built.graph[0].outputs[0].name == "m_folded"


def test_matmul_of_three_axes_has_other_channels() -> None:
    built = model(
        [node("MatMul", ["x", "w"], "m"), batchnorm("m", "y", "p")],
        {"w": weights(5, 4), **batchnorm_constants("p", 4)},
        inputs={"x": ("N", 4, 5)},
    )
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert op_types(built) == ["MatMul", "Mul", "Add"]


@pytest.mark.parametrize("shape", [("N", 4), ("N", 4, 6), ("N", 4, 6, 6), ("N", 4, 3, 3, 3)])
def test_nothing_before_it(shape: tuple[int | str, ...]) -> None:
    built = model([batchnorm("x", "y", "p")], batchnorm_constants("p", 4), inputs={"x": shape})
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert op_types(built) == ["Mul", "Add"]


def test_convolution_with_other_readers_stays() -> None:
    nodes = [node("Conv", ["x", "w"], "c"), batchnorm("c", "n", "p"), node("Add", ["c", "n"], "y")]
    built = model(nodes, {"w": weights(4, 3, 3, 3), **batchnorm_constants("p", 4)})
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert op_types(built) == ["Conv", "Mul", "Add", "Add"]


def test_convolution_that_is_an_output_stays() -> None:
    built = model(
        [node("Conv", ["x", "w"], "c"), batchnorm("c", "y", "p")],
        {"w": weights(4, 3, 3, 3), **batchnorm_constants("p", 4)},
        outputs=("c", "y"),
    )
    assert_pass_keeps_outputs(built, FoldBatchNorm())


def test_shared_weight_and_bias_are_copied() -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], "c1"),
        batchnorm("c1", "n1", "p"),
        node("Conv", ["x", "w", "b"], "c2"),
        batchnorm("c2", "n2", "q"),
        node("Conv", ["x", "w", "b"], "c3"),
        node("Add", ["n1", "n2"], "s"),
        node("Add", ["s", "c3"], "y"),
    ]
    constants = {
        "w": weights(4, 3, 3, 3),
        "b": weights(4),
        **batchnorm_constants("p", 4),
        **batchnorm_constants("q", 4, 9),
    }
    built = model(nodes, constants)
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert op_types(built).count("Conv") == 3
    np.testing.assert_array_equal(built.graph.initializers["w"].const_value.numpy(), constants["w"])  # type: ignore[union-attr]


def test_shared_statistics() -> None:
    nodes = [
        node("Conv", ["x", "w"], "c1"),
        batchnorm("c1", "n1", "p"),
        node("Conv", ["x", "v"], "c2"),
        batchnorm("c2", "n2", "p"),
        node("Add", ["n1", "n2"], "y"),
    ]
    built = model(nodes, {"w": weights(4, 3, 3, 3), "v": weights(4, 3, 3, 3, seed=5), **batchnorm_constants("p", 4)})
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert op_types(built) == ["Conv", "Conv", "Add"]
    assert not [name for name in built.graph.initializers if name.startswith("p_")]


def test_computed_weight_gets_mul_and_add() -> None:
    nodes = [node("Mul", ["w", "s"], "v"), node("Conv", ["x", "v"], "c"), batchnorm("c", "y", "p")]
    built = model(
        nodes, {"w": weights(4, 3, 3, 3), **batchnorm_constants("p", 4)}, inputs={"x": ("N", 3, 8, 8), "s": (1,)}
    )
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert op_types(built) == ["Mul", "Conv", "Mul", "Add"]


def test_computed_parameters_stay() -> None:
    nodes = [node("Relu", ["s"], "p_0"), node("Conv", ["x", "w"], "c"), batchnorm("c", "y", "p")]
    constants = {"w": weights(4, 3, 3, 3), **{k: v for k, v in batchnorm_constants("p", 4).items() if k != "p_0"}}
    built = model(nodes, constants, inputs={"x": ("N", 3, 8, 8), "s": (4,)})
    assert_pass_keeps_outputs(built, FoldBatchNorm())
    assert "BatchNormalization" in op_types(built)


def test_biases_become_explicit_and_unshared() -> None:
    nodes = [
        node("Conv", ["x", "w"], "a"),
        node("Conv", ["x", "w", "b"], "c"),
        node("Conv", ["x", "w", "b"], "d"),
        node("Sum", ["a", "c", "d"], "y"),
    ]
    built = model(nodes, {"w": weights(4, 3, 3, 3), "b": weights(4)})
    feeds = random_feeds(built)
    before = run(built, feeds)
    OwnBiases()(built)
    assert_close(before, run(built, feeds), 0)
    assert [item.inputs[2].name for item in built.graph if item.op_type == "Conv"] == [
        "a_node.bias",
        "c_node.bias",
        "b",
    ]  # type: ignore[union-attr]
