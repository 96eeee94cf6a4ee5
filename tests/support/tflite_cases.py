"""The op matrix of the target tflite: small graphs around one op each, odd attributes and sizes on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_graphs import model, node, weights

Shape = tuple[int | str, ...]
IMAGE: Shape = ("N", 6, 9, 11)
SQUARE: Shape = ("N", 8, 8, 8)
"""Channels as many as rows and columns: a layout guessed from sizes would be wrong here."""
ROW: Shape = ("N", 6, 37)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One graph from "x" to "y".

    Attributes:
        nodes: of the graph.
        constants: initializers.
        shape: of the input.
        opset: operator set.
        integer: whether everything runs in integers under the profile int8-only.
        wide_steps: the same in 16 bits, where some kernels look values up or keep their input's scale.
    """

    nodes: Sequence[onnx.NodeProto]
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    shape: Shape = IMAGE
    opset: int = 17
    integer: bool = True
    wide_steps: int = 1

    def build(self) -> ir.Model:
        """The float model."""
        return model(self.nodes, self.constants, inputs={"x": self.shape}, opset=self.opset)


def _conv(shape: Shape = IMAGE, kernel: tuple[int, int] = (3, 3), out: int = 5, **attributes: Any) -> Case:
    channels, group = int(shape[1]), attributes.get("group", 1)
    constants = {"w": weights(out, channels // group, *kernel), "b": weights(out, seed=1)}
    return Case(nodes=[node("Conv", ["x", "w", "b"], "y", **attributes)], constants=constants, shape=shape)


def _row(shape: Shape = ROW, kernel: int = 3, out: int = 5, **attributes: Any) -> Case:
    channels, group = int(shape[1]), attributes.get("group", 1)
    constants = {"w": weights(out, channels // group, kernel), "b": weights(out, seed=1)}
    return Case(nodes=[node("Conv", ["x", "w", "b"], "y", **attributes)], constants=constants, shape=shape)


def _deconv(kernel: tuple[int, int] = (3, 3), out: int = 5, shape: Shape = IMAGE, **attributes: Any) -> Case:
    group = attributes.get("group", 1)
    constants = {"w": weights(int(shape[1]), out // group, *kernel), "b": weights(out, seed=1)}
    return Case(nodes=[node("ConvTranspose", ["x", "w", "b"], "y", **attributes)], constants=constants, shape=shape)


def _unary(
    op_type: str,
    shape: Shape = IMAGE,
    *,
    integer: bool = True,
    opset: int = 17,
    wide_steps: int = 1,
    **attributes: Any,
) -> Case:
    nodes = [node(op_type, ["x"], "y", **attributes)]
    return Case(nodes=nodes, shape=shape, integer=integer, opset=opset, wide_steps=wide_steps)


def _with(
    op_type: str, *constants: Any, shape: Shape = IMAGE, integer: bool = True, opset: int = 17, **attributes: Any
) -> Case:
    names = [f"c{index}" for index in range(len(constants))]
    arrays = {name: np.asarray(array) for name, array in zip(names, constants, strict=True) if array is not None}
    inputs = ["x", *("" if array is None else name for name, array in zip(names, constants, strict=True))]
    return Case(
        nodes=[node(op_type, inputs, "y", **attributes)], constants=arrays, shape=shape, integer=integer, opset=opset
    )


def _resize(mode: str, transform: str, scales: tuple[float, float], **attributes: Any) -> Case:
    array = np.array([1, 1, *scales], dtype=np.float32)
    return _with("Resize", None, array, mode=mode, coordinate_transformation_mode=transform, **attributes)


def _batchnorm(channels: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    return {
        "s": rng.uniform(0.5, 2, channels).astype(np.float32),
        "b": rng.normal(size=channels).astype(np.float32),
    }


def _f(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


_CONV = {
    "conv": _conv(),
    "conv pad 1": _conv(pads=[1, 1, 1, 1]),
    "conv pad 1 stride 2": _conv(pads=[1, 1, 1, 1], strides=[2, 2]),
    "conv pad 1 stride 2, even": _conv(("N", 6, 8, 10), pads=[1, 1, 1, 1], strides=[2, 2]),
    "conv of one channel": _conv(("N", 1, 9, 12), kernel=(5, 5), out=16, pads=[2, 2, 2, 2]),
    "conv of one channel, relu": Case(
        nodes=[node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1], strides=[2, 2]), node("Relu", ["c"], "y")],
        constants={"w": weights(7, 1, 3, 3)},
        shape=("N", 1, 9, 12),
    ),
    "conv of one channel in blocks": _conv(("N", 1, 25, 10), kernel=(10, 4), out=7, pads=[4, 1, 5, 1], strides=[2, 2]),
    "conv of one channel in odd blocks": _conv(("N", 1, 11, 9), kernel=(3, 5), pads=[1, 2, 1, 2], strides=[2, 2]),
    "conv of two channels in blocks": _conv(("N", 2, 12, 14), kernel=(4, 4), pads=[1, 1, 1, 1], strides=[2, 2]),
    "conv of two channels, strides 1, 2": _conv(("N", 2, 8, 12), kernel=(3, 5), pads=[1, 2, 1, 2], strides=[1, 2]),
    "conv of three channels, stride 2": _conv(("N", 3, 9, 12), pads=[1, 1, 1, 1], strides=[2, 2], out=8),
    "conv of three channels, uneven pads": _conv(("N", 3, 8, 12), pads=[0, 0, 1, 1], strides=[2, 2], out=8),
    "conv of three channels, stride 4": _conv(("N", 3, 16, 16), kernel=(4, 4), strides=[4, 4], out=8),
    "conv of three channels, one row": _conv(("N", 3, 1, 24), kernel=(1, 7), pads=[0, 3, 0, 3], strides=[1, 2]),
    "conv asymmetric pads": _conv(pads=[0, 1, 2, 3]),
    "conv strides 2, 3": _conv(pads=[1, 1, 1, 1], strides=[2, 3]),
    "conv same upper": _conv(auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv same lower": _conv(auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv valid": _conv(auto_pad="VALID"),
    "conv dilations 2": _conv(dilations=[2, 2], pads=[2, 2, 2, 2]),
    "conv dilations 2, 3": _conv(dilations=[2, 3], pads=[1, 2, 1, 2]),
    "conv 1x1": _conv(kernel=(1, 1)),
    "conv 5x1": _conv(kernel=(5, 1), pads=[2, 0, 2, 0]),
    "conv h = w = c": _conv(SQUARE, out=8, pads=[1, 1, 1, 1]),
    "conv 2 groups": _conv(group=2, out=4, pads=[1, 1, 1, 1]),
    "conv 3 groups, stride 2": _conv(group=3, out=9, strides=[2, 2]),
    "depthwise": _conv(group=6, out=6, pads=[1, 1, 1, 1]),
    "depthwise stride 2": _conv(group=6, out=6, pads=[1, 1, 1, 1], strides=[2, 2]),
    "depthwise multiplier 2": _conv(group=6, out=12, pads=[1, 1, 1, 1]),
    "depthwise dilated": _conv(group=6, out=6, dilations=[2, 2], pads=[2, 2, 2, 2]),
    "depthwise of one channel": _conv(("N", 1, 9, 11), group=1, out=4, pads=[1, 1, 1, 1]),
    "conv of one sample": _conv((1, 6, 9, 11), pads=[1, 1, 1, 1]),
    "conv relu": Case(
        nodes=[node("Conv", ["x", "w"], "c"), node("Relu", ["c"], "y")], constants={"w": weights(4, 6, 3, 3)}
    ),
    "conv relu6": Case(
        nodes=[node("Conv", ["x", "w"], "c"), node("Clip", ["c", "low", "high"], "y")],
        constants={"w": weights(4, 6, 3, 3), "low": np.float32(0), "high": np.float32(6)},
    ),
    "conv clip to -2..3": Case(
        nodes=[node("Conv", ["x", "w"], "c"), node("Clip", ["c", "low", "high"], "y")],
        constants={"w": weights(4, 6, 3, 3), "low": np.float32(-2), "high": np.float32(3)},
    ),
    "conv clip to 0.5..inf": Case(
        nodes=[node("Conv", ["x", "w"], "c"), node("Clip", ["c", "low"], "y")],
        constants={"w": weights(4, 6, 3, 3), "low": np.float32(0.5)},
    ),
}

_ROWS = {
    "conv of rows": _row(),
    "conv of rows, stride 2, dilated": _row(strides=[2], dilations=[2], pads=[3, 1]),
    "conv of rows, same": _row(auto_pad="SAME_UPPER", strides=[2]),
    "conv of rows of one channel": _row(("N", 1, 40), kernel=8, strides=[4], out=16),
    "depthwise of rows": _row(group=6, out=6, pads=[1, 1]),
    "max pool of rows": _unary("MaxPool", ROW, kernel_shape=[3], strides=[2], pads=[1, 1]),
    "average pool of rows": _unary("AveragePool", ROW, kernel_shape=[2], strides=[2], wide_steps=2),
    "average pool of a whole row": _unary("AveragePool", ROW, kernel_shape=[37]),
    "conv of rows, relu, conv, mean": Case(
        nodes=[
            node("Conv", ["x", "w"], "c", pads=[2, 0]), node("Relu", ["c"], "r"), node("Conv", ["r", "v"], "d"),
            node("Transpose", ["d"], "t", perm=[0, 2, 1]), node("ReduceMean", ["t"], "y", axes=[1], keepdims=0),
        ],
        constants={"w": weights(4, 6, 3), "v": weights(5, 4, 1)},
        shape=ROW,
    ),
}  # fmt: skip
_DECONV = {
    "deconv k2 s2": _deconv((2, 2), strides=[2, 2]),
    "deconv k3 s2 p1 op1": _deconv(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    "deconv k4 s2 p1": _deconv((4, 4), strides=[2, 2], pads=[1, 1, 1, 1]),
    "deconv k3 s1 p1": _deconv(pads=[1, 1, 1, 1]),
    "deconv k3 s1": _deconv(),
    "deconv k3 s2, asymmetric": _deconv(strides=[2, 2], pads=[0, 1, 1, 0]),
    "deconv k2 s3": _deconv((2, 2), strides=[3, 3]),
    "deconv k5 s3 p2": _deconv((5, 5), strides=[3, 3], pads=[2, 2, 2, 2]),
    "deconv dilated": _deconv(strides=[2, 2], dilations=[2, 2]),
    "deconv relu": Case(
        nodes=[node("ConvTranspose", ["x", "w"], "c", strides=[2, 2]), node("Relu", ["c"], "y")],
        constants={"w": weights(6, 4, 2, 2)},
    ),
    "deconv h = w = c": _deconv((2, 2), 8, SQUARE, strides=[2, 2]),
    "deconv of 2 groups": Case(
        nodes=[node("ConvTranspose", ["x", "w"], "y", strides=[2, 2], group=2)],
        constants={"w": weights(6, 2, 2, 2)},
        integer=False,
    ),
}
_POOL = {
    "max pool": _unary("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "max pool k3 s2 p1": _unary("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "max pool k3 s1 p1": _unary("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "max pool ceil": _unary("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "max pool 3x2": _unary("MaxPool", kernel_shape=[3, 2], strides=[1, 2]),
    "max pool behind relu": Case(
        nodes=[
            node("Relu", ["x"], "r"),
            node("MaxPool", ["r"], "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        ]
    ),
    "average pool": _unary("AveragePool", kernel_shape=[2, 2], strides=[2, 2], wide_steps=2),
    "average pool k3 counting": _unary(
        "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1, wide_steps=2
    ),
    "average pool k3": _unary("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], integer=False),
    "average pool k3 s2": _unary("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], integer=False),
    "average pool ceil": _unary("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1, integer=False),
    "average pool of one window": _unary("AveragePool", kernel_shape=[8, 10], strides=[3, 3]),
    "average pool of large windows": _unary("AveragePool", kernel_shape=[6, 7], wide_steps=3),
    "average pool of all": _unary("AveragePool", kernel_shape=[9, 11]),
    "global average": _unary("GlobalAveragePool"),
    "global max": _unary("GlobalMaxPool"),
    "mean of rows": _unary("ReduceMean", axes=[2], keepdims=1),
    "mean of channels": _unary("ReduceMean", axes=[1], keepdims=0),
    "max of columns": _unary("ReduceMax", axes=[-1], keepdims=0),
    "min of channels": _unary("ReduceMin", axes=[1], keepdims=1),
    "norm of channels": _unary("ReduceL2", axes=[1], keepdims=1, integer=False),
    "norm of all": _unary("ReduceL2", axes=[1, 2, 3], keepdims=0, integer=False),
    "sizes of rows": _unary("ReduceL1", axes=[-1], keepdims=0, integer=False),
    "squares of rows": _unary("ReduceSumSquare", axes=[2], keepdims=1, integer=False),
    "product of columns": _unary("ReduceProd", axes=[3], keepdims=0, integer=False),
    "sum of space": Case(
        nodes=[node("ReduceSum", ["x", "axes"], "y", keepdims=0)], constants={"axes": np.array([2, 3])}
    ),
}
_ARITHMETIC = {
    "add itself": Case(nodes=[node("Add", ["x", "x"], "y")]),
    "add a number": _with("Add", _f(0.7)),
    "add per channel": _with("Add", weights(6, 1, 1)),
    "add per column": _with("Add", weights(11)),
    "add a picture": _with("Add", weights(1, 6, 9, 11)),
    "add, square": _with("Add", weights(8, 1), shape=SQUARE),
    "add two branches": Case(
        nodes=[node("Conv", ["x", "w"], "c"), node("Sigmoid", ["x"], "s"), node("Add", ["c", "s"], "y")],
        constants={"w": weights(6, 6, 1, 1)},
    ),
    "add relu": Case(nodes=[node("Add", ["x", "c"], "a"), node("Relu", ["a"], "y")], constants={"c": weights(6, 1, 1)}),
    "sub from a constant": Case(nodes=[node("Sub", ["c", "x"], "y")], constants={"c": weights(6, 1, 1)}),
    "mul per channel": _with("Mul", weights(6, 1, 1)),
    "mul a gate": Case(
        nodes=[
            node("GlobalAveragePool", ["x"], "g"),
            node("Conv", ["g", "w"], "f"),
            node("Sigmoid", ["f"], "s"),
            node("Mul", ["x", "s"], "y"),
        ],
        constants={"w": weights(6, 6, 1, 1)},
    ),
    "max of two": Case(nodes=[node("Mul", ["x", "c"], "m"), node("Max", ["x", "m"], "y")], constants={"c": _f(-0.5)}),
    "min with a constant": _with("Min", weights(6, 1, 1)),
    "div": _with("Div", np.abs(weights(6, 1, 1)) + np.float32(0.5), integer=False),
    "pow 2": _with("Pow", np.float32(2), integer=False),
    "sqrt of abs": Case(nodes=[node("Abs", ["x"], "a"), node("Sqrt", ["a"], "y")], integer=False),
    "exp": _unary("Exp", integer=False),
    "round": Case(
        nodes=[node("Mul", ["x", "c"], "m"), node("Round", ["m"], "y")], constants={"c": _f(2.5)}, integer=False
    ),
}
_LOGIC = {
    "where above": Case(
        nodes=[node("Greater", ["x", "c"], "g"), node("Neg", ["x"], "n"), node("Where", ["g", "x", "n"], "y")],
        constants={"c": _f(0.3)},
        integer=False,
    ),
    "where of a row, else a number": Case(
        nodes=[node("ReduceMax", ["x"], "m", axes=[3]), node("LessOrEqual", ["m", "c"], "l"),
               node("Where", ["l", "x", "zero"], "y")],
        constants={"c": weights(6, 1, 1), "zero": np.float32(0)},
        integer=False,
    ),
    "where inside of an interval": Case(
        nodes=[node("GreaterOrEqual", ["x", "low"], "g"), node("Less", ["x", "high"], "l"),
               node("And", ["g", "l"], "a"), node("Not", ["a"], "n"),
               node("Equal", ["x", "low"], "e"), node("Or", ["n", "e"], "o"),
               node("Where", ["o", "high", "x"], "y")],
        constants={"low": np.float32(-0.5), "high": weights(6, 1, 11)},
        integer=False,
    ),
    "where behind a convolution": Case(
        nodes=[node("Conv", ["x", "w"], "c"), node("Greater", ["c", "zero"], "g"), node("Mul", ["c", "k"], "m"),
               node("Where", ["g", "c", "m"], "h"), node("Conv", ["h", "v"], "y")],
        constants={"w": weights(4, 6, 1, 1), "v": weights(5, 4, 1, 1), "zero": _f(0), "k": _f(0.3)},
        integer=False,
    ),
}  # fmt: skip
_ACTIVATIONS = {
    "relu": _unary("Relu"),
    "clip -1..1": _with("Clip", np.float32(-1), np.float32(1)),
    "clip -0.3..2": _with("Clip", np.float32(-0.3), np.float32(2)),
    "sigmoid": _unary("Sigmoid"),
    "tanh": _unary("Tanh", wide_steps=2),
    "softmax of channels": _unary("Softmax", axis=1),
    "softmax of the last": _unary("Softmax", axis=-1),
    "log softmax": _unary("LogSoftmax", axis=1, integer=False),
    "leaky relu": _unary("LeakyRelu", alpha=0.2),
    "hard swish": _unary("HardSwish"),
    "hard sigmoid": _unary("HardSigmoid", integer=False),
    "elu": _unary("Elu", integer=False),
    "elu, alpha 0.7": _unary("Elu", alpha=0.7, integer=False),
    "selu": _unary("Selu", integer=False),
    "celu": _unary("Celu", alpha=0.6, integer=False),
    "softplus": _unary("Softplus", integer=False),
    "softplus of large numbers": Case(
        nodes=[node("Mul", ["x", "c"], "m"), node("Softplus", ["m"], "y")], constants={"c": _f(300)}, integer=False
    ),
    "softsign": _unary("Softsign", integer=False),
    "mish": _unary("Mish", opset=18, integer=False),
    "prelu": _with("PRelu", np.abs(weights(6, 1, 1))),
    "prelu of one slope": _with("PRelu", _f(0.3).reshape(1, 1, 1)),
    "silu": Case(nodes=[node("Sigmoid", ["x"], "s"), node("Mul", ["x", "s"], "y")]),
    "gelu": _unary("Gelu", opset=20),
    "gelu by tanh": _unary("Gelu", opset=20, approximate="tanh"),
}
_MOVES = {
    "concat of channels": Case(
        nodes=[node("Conv", ["x", "w"], "c"), node("Concat", ["x", "c"], "y", axis=1)],
        constants={"w": weights(4, 6, 1, 1)},
    ),
    "concat of rows": Case(nodes=[node("Relu", ["x"], "r"), node("Concat", ["x", "r"], "y", axis=2)]),
    "concat of six": Case(nodes=[node("Concat", ["x"] * 6, "y", axis=1)]),
    "concat with a constant": Case(
        nodes=[node("Concat", ["x", "c"], "y", axis=0)], constants={"c": weights(1, 6, 9, 11)}, shape=(1, 6, 9, 11)
    ),
    "split equal": Case(
        nodes=[
            onnx.helper.make_node("Split", ["x"], ["a", "b"], axis=1, name="split"),
            node("Concat", ["b", "a"], "y", axis=1),
        ]
    ),
    "split 1, 3, 2": Case(
        nodes=[
            onnx.helper.make_node("Split", ["x", "parts"], ["a", "b", "c"], axis=1, name="split"),
            node("Concat", ["c", "b", "a"], "y", axis=1),
        ],
        constants={"parts": np.array([1, 3, 2])},
    ),
    "slice of channels": _with("Slice", np.array([1]), np.array([4]), np.array([1])),
    "slice of steps 2": _with("Slice", np.array([0, 0]), np.array([9, 11]), np.array([2, 3]), np.array([2, 2])),
    "slice from 1 in steps": _with("Slice", np.array([1, 2]), np.array([8, 99]), np.array([2, 3]), np.array([3, 2])),
    "slice of channels in steps": _with("Slice", np.array([0]), np.array([6]), np.array([1]), np.array([2])),
    "slice backwards": _with("Slice", np.array([-1]), np.array([-99]), np.array([3]), np.array([-1])),
    "slice negative": _with("Slice", np.array([-5]), np.array([-1]), np.array([-2])),
    "gather one": _with("Gather", np.int64(2), axis=1),
    "gather some": _with("Gather", np.array([5, 0, 3]), axis=1),
    "gather by a table": _with("Gather", np.array([[5, 0, 3], [1, 1, 4]]), axis=1),
    "gather all in another shape": Case(
        nodes=[node("Relu", ["x"], "r"), node("Gather", ["r", "table"], "y", axis=1)],
        constants={"table": np.arange(6).reshape(2, 3)},
    ),
    "gather the last": _with("Gather", np.int64(-1), axis=3),
    "transpose and back": Case(
        nodes=[node("Transpose", ["x"], "t", perm=[0, 2, 3, 1]), node("Relu", ["t"], "r"),
               node("Transpose", ["r"], "y", perm=[0, 3, 1, 2])]
    ),
    "transpose, square": _unary("Transpose", SQUARE, perm=[0, 3, 2, 1]),
    "flatten": _unary("Flatten"),
    "reshape to tokens": Case(
        nodes=[node("Reshape", ["x", "shape"], "r"), node("Transpose", ["r"], "y", perm=[0, 2, 1])],
        constants={"shape": np.array([0, 6, 99])},
    ),
    "reshape across axes": Case(
        nodes=[node("Reshape", ["x", "shape"], "y")],
        constants={"shape": np.array([-1, 33, 18])},
    ),
    "squeeze and unsqueeze": Case(
        nodes=[node("GlobalAveragePool", ["x"], "g"), node("Squeeze", ["g", "axes"], "s"),
               node("Unsqueeze", ["s", "one"], "y")],
        constants={"axes": np.array([2, 3]), "one": np.array([1])},
    ),
    "channel shuffle": Case(
        nodes=[node("Reshape", ["x", "split"], "r"), node("Transpose", ["r"], "t", perm=[0, 2, 1, 3, 4]),
               node("Reshape", ["t", "join"], "y")],
        constants={"split": np.array([-1, 2, 4, 8, 8]), "join": np.array([-1, 8, 8, 8])},
        shape=SQUARE,
    ),
    "pixel shuffle": Case(
        nodes=[node("Reshape", ["x", "split"], "r"), node("Transpose", ["r"], "t", perm=[0, 1, 4, 2, 5, 3]),
               node("Reshape", ["t", "join"], "y")],
        constants={"split": np.array([-1, 1, 2, 2, 5, 7]), "join": np.array([-1, 1, 10, 14])},
        shape=("N", 4, 5, 7),
    ),
    "depth to space": _unary("DepthToSpace", SQUARE, blocksize=2),
    "depth to space crd": _unary("DepthToSpace", SQUARE, blocksize=2, mode="CRD"),
    "space to depth": _unary("SpaceToDepth", SQUARE, blocksize=2),
    "pad zeros": _with("Pad", np.array([0, 0, 1, 2, 0, 0, 3, 0])),
    "pad channels": _with("Pad", np.array([0, 2, 0, 0, 0, 1, 0, 0])),
    "pad a number": _with("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(0.5)),
    "pad by the edge": _with("Pad", np.array([0, 0, 1, 2, 0, 0, 3, 1]), mode="edge"),
    "pad channels by the edge": _with("Pad", np.array([0, 2, 0, 0, 0, 0, 0, 1]), mode="edge"),
    "pad reflect": _with("Pad", np.array([0, 0, 1, 2, 0, 0, 3, 1]), mode="reflect"),
    "tile": _with("Tile", np.array([1, 1, 2, 1])),
    "expand": _with("Expand", np.array([1, 6, 4, 1]), shape=("N", 6, 1, 11)),
    "nearest x2": _resize("nearest", "asymmetric", (2, 2), nearest_mode="floor"),
    "nearest x3, x2": _resize("nearest", "half_pixel", (3, 2)),
    "nearest to 2/3": _resize("nearest", "half_pixel", (2 / 3, 1)),
    "nearest half, ceil": _resize("nearest", "asymmetric", (2, 1), nearest_mode="ceil"),
    "linear half pixel": _resize("linear", "half_pixel", (2, 2)),
    "linear asymmetric": _resize("linear", "asymmetric", (2, 3)),
    "linear align corners": _resize("linear", "align_corners", (2, 2)),
    "linear pytorch": _resize("linear", "pytorch_half_pixel", (1, 2)),
}  # fmt: skip
_LINEAR = {
    "gemm": Case(
        nodes=[node("Gemm", ["x", "w", "b"], "y", transB=1)],
        constants={"w": weights(5, 7), "b": weights(5)},
        shape=("N", 7),
    ),
    "gemm relu": Case(
        nodes=[node("Gemm", ["x", "w", "b"], "g", transB=1), node("Relu", ["g"], "y")],
        constants={"w": weights(5, 7), "b": weights(5)},
        shape=("N", 7),
    ),
    "matmul": _with("MatMul", weights(7, 5), shape=("N", 7)),
    "matmul of tokens": _with("MatMul", weights(7, 5), shape=("N", 4, 7)),
    "matmul and bias": Case(
        nodes=[node("MatMul", ["x", "w"], "m"), node("Add", ["b", "m"], "y")],
        constants={"w": weights(7, 5), "b": weights(5)},
        shape=("N", 4, 7),
    ),
    "matmul, bias, relu": Case(
        nodes=[node("MatMul", ["x", "w"], "m"), node("Add", ["m", "b"], "a"), node("Relu", ["a"], "y")],
        constants={"w": weights(7, 5), "b": weights(5)},
        shape=("N", 4, 7),
    ),
    "matmul of pictures": _with("MatMul", weights(11, 5)),
    "attention scores": Case(nodes=[node("Transpose", ["x"], "t", perm=[0, 1, 3, 2]), node("MatMul", ["x", "t"], "y")]),
    "attention values": Case(
        nodes=[node("Slice", ["x", "from", "to", "axis"], "s"), node("MatMul", ["s", "x"], "y")],
        constants={"from": np.array([0]), "to": np.array([9]), "axis": np.array([3])},
    ),
    "flatten and gemm": Case(
        nodes=[node("Conv", ["x", "k"], "c"), node("Flatten", ["c"], "f"), node("Gemm", ["f", "w"], "y", transB=1)],
        constants={"k": weights(8, 8, 3, 3), "w": weights(5, 288)},
        shape=SQUARE,
    ),
}
_NORMAL = {
    "layer norm": Case(
        nodes=[node("LayerNormalization", ["x", "s", "b"], "y", axis=-1)],
        constants={"s": weights(7), "b": weights(7, seed=1)},
        shape=("N", 4, 7),
        integer=False,
    ),
    "layer norm of pictures": Case(
        nodes=[node("LayerNormalization", ["x", "s"], "y", axis=2)],
        constants={"s": weights(9, 11)},
        integer=False,
    ),
    "instance norm": Case(
        nodes=[node("InstanceNormalization", ["x", "s", "b"], "y")], constants=_batchnorm(6), integer=False
    ),
    "group norm": Case(
        nodes=[node("GroupNormalization", ["x", "s", "b"], "y", num_groups=3)],
        constants=_batchnorm(6),
        opset=21,
        integer=False,
    ),
    "local response": _unary("LRN", size=5, alpha=0.3, beta=0.6, bias=1.5, integer=False),
    "batch norm": Case(
        nodes=[node("BatchNormalization", ["x", "s", "b", "m", "v"], "y")],
        constants={**_batchnorm(6), "m": weights(6), "v": np.abs(weights(6, seed=2))},
        integer=False,
    ),
}
CASES: Mapping[str, Case] = {
    **_CONV, **_ROWS, **_DECONV, **_POOL, **_ARITHMETIC, **_LOGIC, **_ACTIVATIONS, **_MOVES, **_LINEAR, **_NORMAL,
}  # fmt: skip
