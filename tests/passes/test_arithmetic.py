"""Pads, affine tails, Gemm, Clip, synonyms and transposes in one form each."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import assert_pass_keeps_outputs, batchnorm, batchnorm_constants, model, node, op_types, weights

from zsq_export.graph.topology import constant_scalar
from zsq_export.passes.fold_affine import FoldAffine
from zsq_export.passes.fuse_pad import FusePad
from zsq_export.passes.merge_transposes import MergeTransposes
from zsq_export.passes.normalise_clip import NormaliseClip
from zsq_export.passes.normalise_gemm import NormaliseGemm
from zsq_export.passes.unify_synonyms import UnifySynonyms

PADS = np.array([0, 0, 1, 2, 0, 0, 0, 1], np.int64)
POOL: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2]}


@pytest.mark.parametrize(
    "reader",
    [
        node("Conv", ["p", "w"], "y"),
        node("Conv", ["p", "w"], "y", pads=[1, 0, 2, 1], strides=[2, 2], dilations=[2, 1]),
        node("Conv", ["p", "w"], "y", auto_pad="VALID"),
        node("AveragePool", ["p"], "y", **POOL),
        node("AveragePool", ["p"], "y", count_include_pad=1, pads=[1, 0, 0, 1], **POOL),
        node("MaxPool", ["p"], "y", **POOL),
    ],
)
def test_zero_pad_joins_its_reader(reader: onnx.NodeProto) -> None:
    built = model(
        [node("Relu", ["x"], "a"), node("Pad", ["a", "k"], "p"), reader], {"w": weights(4, 3, 3, 3), "k": PADS}
    )
    assert_pass_keeps_outputs(built, FusePad())
    assert op_types(built) == ["Relu", reader.op_type]


@pytest.mark.parametrize(
    ("pad", "reader"),
    [
        (node("Pad", ["x", "k"], "p"), node("MaxPool", ["p"], "y", **POOL)),
        (node("Pad", ["x", "k"], "p"), node("AveragePool", ["p"], "y", ceil_mode=1, **POOL)),
        (node("Pad", ["x", "k"], "p"), node("AveragePool", ["p"], "y", pads=[1, 1, 1, 1], **POOL)),
        (node("Pad", ["x", "k"], "p"), node("Conv", ["p", "w"], "y", auto_pad="SAME_UPPER")),
        (node("Pad", ["x", "k", "one"], "p"), node("Conv", ["p", "w"], "y")),
        (node("Pad", ["x", "k"], "p", mode="reflect"), node("Conv", ["p", "w"], "y")),
        (node("Pad", ["x", "crop"], "p"), node("Conv", ["p", "w"], "y")),
        (node("Pad", ["x", "k"], "p"), node("Relu", ["p"], "y")),
    ],
)
def test_pad_that_means_something_else_stays(pad: onnx.NodeProto, reader: onnx.NodeProto) -> None:
    constants = {"w": weights(4, 3, 3, 3), "k": PADS, "one": np.float32(1), "crop": -PADS}
    built = model([pad, reader], constants)
    assert_pass_keeps_outputs(built, FusePad())
    assert op_types(built)[0] == "Pad"


def test_pad_of_two_readers_joins_one() -> None:
    nodes = [
        node("Pad", ["x", "k"], "p"),
        node("Conv", ["p", "w"], "c"),
        node("Relu", ["p"], "r"),
        node("ReduceMax", ["r"], "m", keepdims=1),
        node("Add", ["c", "m"], "y"),
    ]
    built = model(nodes, {"w": weights(4, 3, 3, 3), "k": PADS})
    assert_pass_keeps_outputs(built, FusePad())
    assert built.graph[1].inputs[0] is built.graph.inputs[0]


@st.composite
def affine_tail(draw: st.DrawFn) -> ir.Model:
    """A weighted op or BatchNormalization, then up to four operations by constants of random shape."""
    head = draw(st.sampled_from(["Conv", "ConvTranspose", "BatchNormalization"]))
    op = batchnorm("x", "c", "p") if head == "BatchNormalization" else node(head, ["x", "w"], "c")
    nodes, constants = [op], {"w": weights(3, 3, 3, 3), **batchnorm_constants("p", 3)}
    for index in range(draw(st.integers(1, 4))):
        shape = draw(st.sampled_from([(), (1,), (3, 1, 1), (1, 3, 1, 1), (1, 1), (1, 1, 1, 6)]))
        constants[f"k{index}"] = np.abs(weights(*shape, seed=index)) + np.float32(0.3)
        pair = [nodes[-1].output[0], f"k{index}"]
        op_type = draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
        # A constant divided by values near zero would magnify rounding without end.
        order = pair[::-1] if op_type != "Div" and draw(st.booleans()) else pair
        nodes.append(node(op_type, order, f"t{index}"))
    side = 6 if head == "BatchNormalization" else (8 if head == "Conv" else 4)
    nodes.append(node("Relu", [nodes[-1].output[0]], "y"))
    return model(nodes, constants, inputs={"x": ("N", 3, side, side)})


@given(affine_tail())
@settings(max_examples=60, deadline=None)
def test_any_affine_tail(built: ir.Model) -> None:
    assert_pass_keeps_outputs(built, FoldAffine(), 1e-4)


def test_a_constant_divided_by_the_result_stays() -> None:
    built = model(
        [node("Conv", ["x", "w"], "c"), node("Div", ["k", "c"], "y")], {"w": weights(4, 3, 3, 3), "k": np.float32(1)}
    )
    assert not FoldAffine()(built).modified


def test_affine_tail_is_gone_and_named() -> None:
    nodes = [node("Conv", ["x", "w"], "c"), node("Mul", ["k", "c"], "a"), node("Sub", ["m", "a"], "y")]
    built = model(nodes, {"w": weights(4, 3, 3, 3), "k": weights(4, 1, 1), "m": np.float32(2)})
    assert_pass_keeps_outputs(built, FoldAffine())
    assert op_types(built) == ["Conv"] and built.graph[0].outputs[0].name == "y"


def test_matmul_keeps_its_add() -> None:
    built = model(
        [node("MatMul", ["x", "w"], "m"), node("Add", ["m", "b"], "y")],
        {"w": weights(5, 6), "b": weights(6)},
        inputs={"x": ("N", 5)},
    )
    assert_pass_keeps_outputs(built, FoldAffine())
    assert op_types(built) == ["MatMul", "Add"]


@given(
    trans_b=st.integers(0, 1),
    trans_a=st.integers(0, 1),
    alpha=st.sampled_from([1.0, 0.5]),
    beta=st.sampled_from([1.0, -2.0]),
    bias=st.sampled_from([None, (), (1,), (4,), (1, 4), (2, 4), (2, 1)]),
)
@settings(max_examples=60, deadline=None)
def test_any_gemm(trans_b: int, trans_a: int, alpha: float, beta: float, bias: tuple[int, ...] | None) -> None:
    constants = {"w": weights(*((4, 5) if trans_b else (5, 4))), "b": weights(*(bias or ()))}
    gemm = node(
        "Gemm", ["x", "w"] + ["b"] * (bias is not None), "y", transA=trans_a, transB=trans_b, alpha=alpha, beta=beta
    )
    built = model([gemm], constants, inputs={"x": (5, 2) if trans_a else (2, 5)})
    assert_pass_keeps_outputs(built, NormaliseGemm())
    if bias not in ((2, 4), (2, 1)):
        assert built.graph[0].attributes.get_int("transB") == 1
        assert not {"alpha", "beta"} & set(built.graph[0].attributes)


LIMIT = st.sampled_from([None, -1.0, 0.0, 0.5, 6.0])


@st.composite
def clip_chain(draw: st.DrawFn) -> ir.Model:
    """One to four of Relu, Clip, Max, Min with random limits."""
    constants: dict[str, Any] = {}
    nodes: list[onnx.NodeProto] = []
    for index in range(draw(st.integers(1, 4))):
        source, kind = (nodes[-1].output[0] if nodes else "x"), draw(st.sampled_from(["Relu", "Clip", "Max", "Min"]))
        limits = [draw(LIMIT), draw(LIMIT)]
        constants |= {f"k{index}{side}": np.float32(limit or 0.0) for side, limit in enumerate(limits)}
        names = ["" if limit is None else f"k{index}{side}" for side, limit in enumerate(limits)]
        extra = {"Relu": [], "Clip": names, "Max": [f"k{index}0"], "Min": [f"k{index}1"]}[kind]
        inputs = [*extra, source] if kind in ("Max", "Min") and draw(st.booleans()) else [source, *extra]
        nodes.append(node(kind, inputs, f"t{index}"))
    nodes.append(node("Neg", [nodes[-1].output[0]], "y"))
    return model(nodes, constants)


@given(clip_chain())
@settings(max_examples=80, deadline=None)
def test_any_chain_of_limits(built: ir.Model) -> None:
    assert_pass_keeps_outputs(built, NormaliseClip(), 0)
    assert len(built.graph) <= 2


def test_a_lower_limit_above_the_upper_one_gives_the_upper_one() -> None:
    nodes = [node("Clip", ["x", "high", "low"], "a"), node("Relu", ["a"], "y")]
    built = model(nodes, {"low": np.float32(-1), "high": np.float32(6)})
    assert_pass_keeps_outputs(built, NormaliseClip(), 0)
    swapped = model([nodes[0], node("Neg", ["a"], "y")], {"low": np.float32(2), "high": np.float32(6)})
    assert_pass_keeps_outputs(swapped, NormaliseClip(), 0)


def test_relu6_of_other_frameworks() -> None:
    built = model([node("Relu", ["x"], "a"), node("Min", ["a", "six"], "y")], {"six": np.float32(6)})
    assert_pass_keeps_outputs(built, NormaliseClip(), 0)
    (clip,) = built.graph
    assert clip.op_type == "Clip" and [constant_scalar(value) for value in clip.inputs[1:]] == [0, 6]


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2]])
def test_spatial_mean_is_global_average_pooling(keepdims: int, opset: int, axes: list[int]) -> None:
    constants = {"axes": np.array(axes, np.int64)} if opset == 18 else {}
    mean = node("ReduceMean", ["x", *constants], "m", keepdims=keepdims, **({} if constants else {"axes": axes}))
    built = model([mean, node("Neg", ["m"], "y")], constants, opset=opset)
    assert_pass_keeps_outputs(built, UnifySynonyms())
    assert op_types(built) == ["GlobalAveragePool", *["Flatten"] * (1 - keepdims), "Neg"]


def test_a_sum_of_several_is_a_chain_of_adds() -> None:
    nodes = [node("Relu", ["x"], "a"), node("Neg", ["x"], "b"), node("Sum", ["x", "a", "b", "a"], "y")]
    built = model(nodes)
    assert_pass_keeps_outputs(built, UnifySynonyms())
    assert op_types(built) == ["Relu", "Neg", "Add", "Add", "Add"]


def test_other_means_and_sums_stay() -> None:
    nodes = [node("ReduceMean", ["x"], "a", axes=[1]), node("Sum", ["x", "x", "a"], "b"), node("Sum", ["b", "a"], "y")]
    built = model(nodes)
    assert_pass_keeps_outputs(built, UnifySynonyms())
    assert op_types(built) == ["ReduceMean", "Sum", "Add"]


@given(st.permutations(range(4)), st.permutations(range(4)), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_two_transposes(first: list[int], second: list[int], read_between: bool) -> None:
    nodes = [
        node("Transpose", ["x"], "a", perm=first),
        node("Transpose", ["a"], "b", perm=second),
        node("Relu", ["b"], "y"),
    ]
    if read_between:
        nodes.append(node("Neg", ["a"], "z"))
    built = model(nodes, outputs=("y", "z") if read_between else ("y",))
    assert_pass_keeps_outputs(built, MergeTransposes(), 0)
    assert op_types(built).count("Transpose") <= 1 + read_between
