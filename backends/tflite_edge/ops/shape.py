"""Ops that only rename axes, or copy along them."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor
from zsq_export.backends.tflite_edge.registry import handles, refuse_integers
from zsq_export.backends.tflite_edge.sizes import ONE, Size
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import NHWC, View, new_axes, ordered, regrouped, transposed
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import constant_value, int_attribute, ints_attribute, is_float


@handles("Reshape", "Flatten", "Squeeze", "Unsqueeze", attributes=("axis", "axes", "allowzero"))
def reshape(step: Step, emission: Emission) -> None:
    """Nothing is moved where the new axes are made of whole factors of the old ones."""
    sizes = emission.sizes_of(step.result().value)
    emission.give(step, as_shape(emission, emission.read(step), sizes, step.name))


def as_shape(emission: Emission, view: View, sizes: tuple[Size, ...], source: str) -> View:
    """The ONNX tensor under another shape; brought to ONNX order where its factors do not fit."""
    found = regrouped(view, sizes)
    if found is not None:
        return found
    plain = emission.arrange(view, view.axes, source)
    axes = new_axes(sizes)
    tensor = emission.reshaped(plain.tensor, sizes, source)
    return View(tensor=tensor, axes=axes, dims=axes)


@handles("Transpose", attributes=("perm",))
def transpose(step: Step, emission: Emission) -> None:
    """Only the names of the axes change."""
    view = emission.read(step)
    order = ints_attribute(step.node, "perm", tuple(reversed(range(len(view.axes)))))
    emission.give(step, transposed(view, order))


@handles("Identity", "Dropout", attributes=("seed",))
def same(step: Step, emission: Emission) -> None:
    """The tensor itself."""
    if any(result is not None for result in step.results[1:]):
        raise UnsupportedOpError(f"node {step.name!r} ({step.node.op_type}): target tflite does not give the mask")
    emission.give(step, emission.read(step))


@handles("Cast", attributes=("to", "saturate"), integer=False)
def cast(step: Step, emission: Emission) -> None:
    """Float to float: nothing to do."""
    wanted = int_attribute(step.node, "to", 0)
    if wanted != ir.DataType.FLOAT or not is_float(step.node.inputs[0]):
        name = ir.DataType(wanted).name
        raise UnsupportedOpError(f"node {step.name!r} (Cast): target tflite does not handle a cast to {name}")
    emission.give(step, emission.read(step))


@handles("Expand")
def expand(step: Step, emission: Emission) -> None:
    """Copies along axes of length 1."""
    sizes = emission.sizes_of(step.node.outputs[0])
    source = emission.read(step)
    view = replace(source, axes=((),) * (len(sizes) - len(source.axes)) + source.axes)
    copied = tuple(axis for axis, size in enumerate(sizes) if view.sizes[axis] != size)
    emission.give(step, _copied(step, emission, view, sizes, copied))


@handles("Tile")
def tile(step: Step, emission: Emission) -> None:
    """TILE: the whole axis again and again."""
    repeats = constant_value(step.node.inputs[1])
    if repeats is None:
        raise UnsupportedOpError(f"node {step.name!r} (Tile): its repeats are computed at run time")
    view, order = emission.whole_order(emission.read(step), step.name)
    if any(view.sizes[axis].is_open and times != 1 for axis, times in enumerate(repeats)):
        raise UnsupportedOpError(f"node {step.name!r} (Tile): it repeats the batch, which is open")
    operand = emission.integers([int(repeats[axis]) for axis in order], "repeats")
    made = emission.result(step, order, quant=view.tensor.quant)
    emission.add(step.name, "TILE", [view.tensor, operand], [made.tensor])
    emission.give(step, made)


def _copied(step: Step, emission: Emission, view: View, sizes: tuple[Size, ...], copied: tuple[int, ...]) -> View:
    if not copied:
        return view
    view, order = emission.whole_order(view, step.name)
    if any(sizes[axis].is_open for axis in copied):
        refuse_integers(step.integer, "it copies along the open batch")
        return _copied_along_batch(step, emission, view, sizes, order)
    operand = emission.integers([sizes[axis].one if axis in copied else 1 for axis in order], "repeats")
    made = emission.result(step, order, quant=view.tensor.quant)
    emission.add(step.name, "TILE", [view.tensor, operand], [made.tensor])
    return made


def _copied_along_batch(
    step: Step, emission: Emission, view: View, sizes: tuple[Size, ...], order: tuple[int, ...]
) -> View:
    """``x + 0 * (one element of each sample of the input)``: the batch is known only to what comes from the input."""
    batch = next(axis for axis, size in enumerate(sizes) if size.is_open)
    carrier = emission.batch_carrier(len(sizes), order.index(batch))
    zeros = Tensor(name=emission.name(f"{step.name}_zeros"), sizes=carrier.sizes, element=Element.FLOAT32)
    nothing = emission.scalar(0.0, None, f"{step.name}_nothing")
    emission.add(step.name, "MUL", [carrier, nothing], [zeros], schema.MulOptionsT())
    source = emission.arrange(view, ordered(view.axes, order), step.name)
    made = emission.result(step, order)
    if any(size != ONE and not size.is_open and source.sizes[axis] != size for axis, size in enumerate(sizes)):
        raise UnsupportedOpError(f"node {step.name!r} (Expand): it copies along the batch and another axis")
    emission.add(step.name, "ADD", [source.tensor, zeros], [made.tensor], schema.AddOptionsT())
    return made


@handles("DepthToSpace", attributes=("blocksize", "mode"))
def depth_to_space(step: Step, emission: Emission) -> None:
    """DEPTH_TO_SPACE has the block before the channels (DCR); the other order is a reshape and a transpose."""
    view, block = emission.read(step), int_attribute(step.node, "blocksize", 0)
    mode = step.node.attributes.get_string("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise UnsupportedOpError(f"node {step.name!r} (DepthToSpace): mode={mode!r} is not handled")
    batch, channels, height, width = view.sizes
    side, rest = Size(block, block), Size(channels.one // block**2, channels.one // block**2)
    if mode == "DCR":
        parts, order = (batch, side, side, rest, height, width), (0, 3, 4, 1, 5, 2)
    else:
        parts, order = (batch, rest, side, side, height, width), (0, 1, 4, 2, 5, 3)
    _through(step, emission, view, parts, order)


@handles("SpaceToDepth", attributes=("blocksize",))
def space_to_depth(step: Step, emission: Emission) -> None:
    """SPACE_TO_DEPTH."""
    view, block = emission.axes(step, 0, NHWC), int_attribute(step.node, "blocksize", 0)
    made = emission.result(step, NHWC, quant=view.tensor.quant)
    options = schema.SpaceToDepthOptionsT(blockSize=block)
    emission.add(step.name, "SPACE_TO_DEPTH", [view.tensor], [made.tensor], options)
    emission.give(step, made)


def _through(step: Step, emission: Emission, view: View, parts: tuple[Size, ...], order: tuple[int, ...]) -> None:
    """Reshape, transpose, reshape."""
    split = as_shape(emission, view, parts, step.name)
    sizes = emission.sizes_of(step.result().value)
    emission.give(step, as_shape(emission, transposed(split, order), sizes, step.name))
