"""What a model must be before anything is done with it; each breach is one line naming the culprit."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.errors import ModelError, UnsupportedOpError
from zsq_export.graph.topology import is_op

_STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_QUANTIZED = re.compile(r"^(QLinear\w+|Q(Gemm|Attention|MoE)|(Dynamic)?QuantizeLinear|DequantizeLinear|FakeQuantize"
                        r"|ConvInteger|MatMulInteger\w*|DynamicQuantizeMatMul|MatMulNBits|MatMulFpQ4)$")  # fmt: skip
FLOAT_TYPES = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


def check_names(graph: onnx.GraphProto) -> None:
    """Every tensor is made once, and every tensor that is read is made somewhere.

    Raises:
        ModelError: names the tensor and the node.
    """
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer}
    for node in graph.node:
        for name in filter(None, node.output):
            if name in known:
                raise ModelError(f"tensor {name!r} is made twice, again by node {_label(node)}",
                                 hint="the file is corrupt: export the model again")  # fmt: skip
            known.add(name)
    for node in graph.node:
        for name in filter(None, node.input):
            if name not in known:
                raise ModelError(f"node {_label(node)} reads tensor {name!r}, which nothing makes",
                                 hint="the file is corrupt: export the model again")  # fmt: skip
    for output in graph.output:
        if output.name not in known:
            raise ModelError(f"the graph output {output.name!r} is made by no node", hint="export the model again")


def sort_nodes(model: ir.Model) -> None:
    """Brings the nodes into topological order.

    Raises:
        ModelError: the graph is cyclic; names the nodes of one cycle.
    """
    try:
        model.graph.sort()
    except ValueError as error:
        cycle = " -> ".join(repr(node.name) for node in _find_cycle(model.graph))
        raise ModelError(f"the graph is cyclic: {cycle}", hint="the file is corrupt: export the model again") from error


def check_not_quantized(model: ir.Model) -> None:
    """The model holds no quantized operator.

    Raises:
        ModelError: names the first one.
    """
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if _QUANTIZED.match(node.op_type):
            raise ModelError(f"the model is already quantized: node {node.name!r} is {node.op_type}",
                             hint="start from the float model")  # fmt: skip


def check_operators(model: ir.Model) -> None:
    """Every operator is defined by the ONNX standard at the model's operator set.

    Raises:
        UnsupportedOpError: names the node; suggests the nearest operator name.
    """
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.domain not in _STANDARD_DOMAINS:
            raise UnsupportedOpError(
                f"node {node.name!r} is {node.domain}.{node.op_type}, which is not an ONNX standard operator",
                hint="export the model again with standard operators only, before any runtime's own optimizer",
            )
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = model.opset_imports.get(domain, 1)
        try:
            onnx.defs.get_schema(node.op_type, version, domain)
        except onnx.defs.SchemaError as error:
            raise UnsupportedOpError(
                f"node {node.name!r} is {node.op_type}, which operator set {version} does not define",
                hint=_suggestion(node.op_type, domain),
            ) from error


def check_inputs(model: ir.Model) -> None:
    """Only float tensors come in, at least one; the rank of each is known, and axis 0 of each counts samples.

    Raises:
        ModelError: names the input.
    """
    for value in model.graph.inputs:
        if not isinstance(value.type, ir.TensorType):
            raise ModelError(f"input {value.name!r} is not a tensor", hint="only tensor inputs can be quantized")
        if value.dtype in FLOAT_TYPES and value.shape is None:
            raise ModelError(f"input {value.name!r} has a dynamic rank: its number of axes is unknown",
                             hint="export with a fixed rank; single axes may stay dynamic")  # fmt: skip
    others = [value for value in model.graph.inputs if value.dtype not in FLOAT_TYPES]
    names = ", ".join(f"{value.name!r} ({value.dtype})" for value in others) or "none at all"
    if len(others) == len(model.graph.inputs):
        raise ModelError(f"the model has no float inputs: {names}",
                         hint="give the part of the network behind the embedding or decoding step")  # fmt: skip
    if others:
        raise ModelError(f"inputs that hold no floats cannot be made up: {names}",
                         hint="make each a constant of the model: an initializer of its name, no input")  # fmt: skip
    _check_batch(model.graph.inputs)


def _check_batch(inputs: Sequence[ir.Value]) -> None:
    """States of recurrent networks often have the batch on another axis, where samples cannot be joined."""
    hint = "give the network with its state inside, or start it from a constant state"
    shapes = [(value.name, value.shape) for value in inputs if value.shape]
    fixed = {shape[0]: name for name, shape in shapes if isinstance(shape[0], int)}
    if len(fixed) > 1:
        found = " but ".join(f"{side} of input {name!r}" for side, name in fixed.items())
        raise ModelError(f"axis 0 has to count samples in every input, it is {found}", hint=hint)
    batches = {shape[0].value: name for name, shape in shapes if not isinstance(shape[0], int) and shape[0].value}
    for name, shape in shapes:
        for axis, side in enumerate(shape):
            if axis and not isinstance(side, int) and side.value in batches and shape[0] != side:
                first = f"{side.value!r}, on axis 0 of input {batches[side.value]!r},"
                raise ModelError(f"axis 0 has to count samples in every input, but {first} is axis {axis} of {name!r}",
                                 hint=hint)  # fmt: skip


def check_weights(model: ir.Model) -> None:
    """Every float constant is finite and has as many bytes as its shape says.

    Raises:
        ModelError: names the tensor and what was found in it.
    """
    for graph in model.graphs():
        constants = (node.outputs[0] for node in graph if is_op(node, "Constant"))
        for value in (*graph.initializers.values(), *constants):
            tensor = ir.convenience.get_const_tensor(value)
            if tensor is not None and tensor.dtype in FLOAT_TYPES and value.uses():
                _check_finite(str(value.name), value, _array(value, tensor))


def _array(value: ir.Value, tensor: ir.TensorProtocol) -> NDArray[np.float32]:
    try:
        return tensor.numpy().astype(np.float32, copy=False)
    except (ValueError, TypeError) as error:
        raise ModelError(f"tensor {value.name!r} does not hold the {tensor.size} numbers of its shape: {error}",
                         hint="the file is corrupt: export the model again") from error  # fmt: skip


def _check_finite(name: str, value: ir.Value, array: NDArray[np.float32]) -> None:
    # Infinity has honest uses (masks, open clip limits) where no arithmetic weight can be meant.
    weight = array.ndim > 0 and array.size > 1
    if np.isnan(array).any() or (weight and np.isinf(array).any() and not _is_mask(array)):
        bad = "NaN" if np.isnan(array).any() else "infinity"
        readers = sorted({str(node.name) for node, _ in value.uses()})
        raise ModelError(f"tensor {name!r} of node {readers[0]!r} contains {bad}",
                         hint="the training diverged or the file is corrupt: take another checkpoint")  # fmt: skip


def _is_mask(array: NDArray[np.float32]) -> bool:
    """Whether only zeros and negative infinities are in it, as in an attention mask."""
    return bool(np.all((array == 0) | np.isneginf(array)))


def _suggestion(op_type: str, domain: str) -> str:
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == domain}
    near = difflib.get_close_matches(op_type, known, n=1, cutoff=0.75)
    if op_type in known:
        return "the operator exists in another operator set: export the model again with opset 17 or later"
    return f"did you mean {near[0]}?" if near else "export the model again with standard operators only"


def _label(node: onnx.NodeProto) -> str:
    return f"{node.name!r} ({node.op_type})"


def _find_cycle(graph: ir.Graph) -> list[ir.Node]:
    """Walks backwards among the nodes that wait for each other until one repeats."""
    waiting = set(graph)
    while ready := [node for node in waiting if not _waits_for(node, waiting)]:
        waiting.difference_update(ready)
    node = min(waiting, key=lambda item: str(item.name))
    path: list[ir.Node] = []
    while node not in path:
        path.append(node)
        node = _waits_for(node, waiting)[0]
    return [node, *reversed(path[path.index(node) :])]


def _waits_for(node: ir.Node, waiting: set[ir.Node]) -> list[ir.Node]:
    nodes = (value.producer() for value in node.inputs if value is not None)
    return [producer for producer in nodes if producer is not None and producer in waiting]
