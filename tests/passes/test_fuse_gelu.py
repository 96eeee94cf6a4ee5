"""GELU written out becomes the op; ONNX Runtime computes both."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_graphs import assert_pass_keeps_outputs, model, node, op_types

from zsq_export.passes.fuse_gelu import FuseGelu

NUMBERS = {
    "half": 0.5, "one": 1.0, "two": 2.0, "three": 3.0, "root2": math.sqrt(2), "inverse": math.sqrt(0.5), "k": 0.044715,
    "kk": 0.044715 * math.sqrt(2 / math.pi), "s": math.sqrt(2 / math.pi),
}  # fmt: skip
ERF = {
    "as PyTorch writes it": [("Div", "x", "root2", "d"), ("Erf", "d", "e"), ("Add", "e", "one", "a"),
                             ("Mul", "x", "a", "m"), ("Mul", "m", "half", "y")],
    "half of x first": [("Mul", "half", "x", "h"), ("Mul", "x", "inverse", "d"), ("Erf", "d", "e"),
                        ("Add", "one", "e", "a"), ("Mul", "h", "a", "y")],
    "half of the sum first": [("Mul", "inverse", "x", "d"), ("Erf", "d", "e"), ("Add", "e", "one", "a"),
                              ("Div", "a", "two", "h"), ("Mul", "h", "x", "y")],
    "half in the sum": [("Div", "x", "root2", "d"), ("Erf", "d", "e"), ("Mul", "e", "half", "f"),
                        ("Add", "f", "half", "a"), ("Mul", "a", "x", "y")],
    "two products": [("Div", "x", "root2", "d"), ("Erf", "d", "e"), ("Mul", "x", "e", "p"), ("Add", "p", "x", "a"),
                     ("Mul", "a", "half", "y")],
}  # fmt: skip
TANH = {
    "cube by Pow": [("Pow", "x", "three", "c"), ("Mul", "c", "k", "q"), ("Add", "x", "q", "p"), ("Mul", "p", "s", "t"),
                    ("Tanh", "t", "e"), ("Add", "e", "one", "a"), ("Mul", "x", "a", "m"), ("Mul", "m", "half", "y")],
    "cube by Mul": [("Mul", "x", "x", "b"), ("Mul", "b", "x", "c"), ("Mul", "k", "c", "q"), ("Add", "q", "x", "p"),
                    ("Mul", "s", "p", "t"), ("Tanh", "t", "e"), ("Add", "one", "e", "a"), ("Mul", "x", "half", "h"),
                    ("Mul", "h", "a", "y")],
    "factored": [("Mul", "x", "x", "b"), ("Mul", "b", "kk", "q"), ("Add", "q", "s", "p"), ("Mul", "x", "p", "t"),
                 ("Tanh", "t", "e"), ("Add", "e", "one", "a"), ("Mul", "a", "half", "h"), ("Mul", "x", "h", "y")],
}  # fmt: skip


def _graph(steps: list[tuple[str, ...]], numbers: dict[str, float] | None = None, *, opset: int = 17) -> ir.Model:
    used = {name for step in steps for name in step[1:-1]}
    constants = {name: np.float32(number) for name, number in {**NUMBERS, **(numbers or {})}.items() if name in used}
    return model([node(step[0], step[1:-1], step[-1]) for step in steps], constants, opset=opset)


@pytest.mark.parametrize("name", [*ERF, *TANH])
@pytest.mark.parametrize("opset", [13, 17, 20])
def test_every_spelling(name: str, opset: int) -> None:
    built = assert_pass_keeps_outputs(_graph({**ERF, **TANH}[name], opset=opset), FuseGelu(), 1e-6)
    assert op_types(built) == ["Gelu"]
    (gelu,) = built.graph
    assert gelu.attributes.get_string("approximate", "none") == ("tanh" if name in TANH else "none")
    assert built.opset_imports[""] == 20
    assert built.graph.outputs[0].name == "y"


def test_constants_of_few_digits() -> None:
    assert op_types(_fused(_graph(ERF["as PyTorch writes it"], {"root2": 1.4142}))) == ["Gelu"]


@pytest.mark.parametrize(
    ("spelling", "numbers"),
    [
        ("as PyTorch writes it", {"root2": 1.5}),
        ("as PyTorch writes it", {"half": 1.0}),
        ("as PyTorch writes it", {"one": 1.1}),
        ("cube by Pow", {"k": 0.05}),
        ("cube by Pow", {"three": 2.0}),
    ],
)
def test_other_functions_stay(spelling: str, numbers: dict[str, float]) -> None:
    built = _graph({**ERF, **TANH}[spelling], numbers)
    before = op_types(built)
    assert op_types(_fused(built)) == before
    assert built.opset_imports[""] == 17


def test_the_gate_of_another_tensor_stays() -> None:
    steps = [("Abs", "x", "z"), ("Div", "z", "root2", "d"), ("Erf", "d", "e"), ("Add", "e", "one", "a"),
             ("Mul", "x", "a", "m"), ("Mul", "m", "half", "y")]  # fmt: skip
    assert "Gelu" not in op_types(_fused(_graph(steps)))


def test_what_else_is_read_stays() -> None:
    steps = [*ERF["half of x first"][:-1], ("Mul", "h", "a", "g"), ("Add", "g", "h", "y")]
    built = assert_pass_keeps_outputs(_graph(steps), FuseGelu(), 1e-6)
    assert sorted(op_types(built)) == ["Add", "Gelu", "Mul"]


def test_a_scaled_input_is_no_part_of_it() -> None:
    """``g(2 x)``: the nearest tensor that fits is x of the formula."""
    steps = [("Mul", "x", "two", "z"), *[tuple("z" if n == "x" else n for n in s) for s in ERF["two products"]]]
    built = assert_pass_keeps_outputs(_graph(steps), FuseGelu(), 1e-6)
    assert op_types(built) == ["Mul", "Gelu"]


def test_ops_whose_form_changed_since_are_converted_with_it() -> None:
    nodes = [node(s[0], s[1:-1], "g" if s[-1] == "y" else s[-1]) for s in ERF["as PyTorch writes it"]]
    nodes += [onnx.helper.make_node("Split", ["g"], ["u", "v"], axis=3, name="split"),
              node("ReduceMean", ["u"], "r", axes=[1], keepdims=1), node("Mul", ["r", "v"], "y")]  # fmt: skip
    constants = {name: np.float32(NUMBERS[name]) for name in ("root2", "one", "half")}
    built = assert_pass_keeps_outputs(model(nodes, constants), FuseGelu(), 1e-6)
    assert op_types(built)[0] == "Gelu"


def _fused(built: ir.Model) -> ir.Model:
    FuseGelu()(built)
    return built
