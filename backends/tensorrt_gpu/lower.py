"""QDQ model -> TensorRT engine, with the typed ONNX file that it was built from and what its layers became."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx_ir as ir

from zsq_export.backends.options import ShapeRanges, TargetOptions
from zsq_export.backends.tensorrt_gpu.build import Built, build_engine
from zsq_export.backends.tensorrt_gpu.engine import inspect_engine
from zsq_export.backends.tensorrt_gpu.layers import NARROW, BuiltLayer, computing, layers_to_json, with_macs
from zsq_export.backends.tensorrt_gpu.runtime import Library, find_gpu
from zsq_export.backends.tensorrt_gpu.shapes import Profile, make_profiles
from zsq_export.errors import KernelMissingError
from zsq_export.graph.macs import node_macs
from zsq_export.graph.saving import save_model
from zsq_export.graph.topology import static_shape
from zsq_export.passes.to_half import ToHalf
from zsq_export.planning.plan import Plan, Role

ENGINE_NAME, LAYERS_NAME, TYPED_NAME = "model.engine", "layers.json", "typed.onnx"


def lower_to_engine(
    library: Library, qdq: ir.Model, plan: Plan, out_dir: Path, options: TargetOptions
) -> tuple[str, ...]:
    """Writes ``model.engine``, ``layers.json``, and ``typed.onnx``, from which ``trtexec`` builds the same on a device.

    Args:
        library: imported package.
        qdq: in float32; left unchanged.
        plan: says what stays float32.
        out_dir: exists.
        options: of the target, configured.

    Returns:
        Names of the engine and of what is deployed beside it.

    Raises:
        TargetUnavailableError, UsageError, ModelError, KernelMissingError: see :func:`build_engine`.
    """
    profiles = profiles_of(qdq, options)
    typed = qdq.clone()
    ToHalf([op.node for op in plan.float32_ops])(typed)
    save_model(typed, out_dir / TYPED_NAME)
    built = build_engine(library, out_dir / TYPED_NAME, profiles, options)
    (out_dir / ENGINE_NAME).write_bytes(built.engine)
    layers = with_macs(_layers(library, built, options), node_macs(qdq))
    _check_quantized(library, layers, plan)
    (out_dir / LAYERS_NAME).write_text(layers_to_json(layers))
    return ENGINE_NAME, LAYERS_NAME


def build_in_memory(library: Library, model: ir.Model, options: TargetOptions) -> bytes:
    """The engine of a model that is typed already; for the float baselines."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / TYPED_NAME
        save_model(model, path)
        return build_engine(library, path, profiles_of(model, options), options).engine


def profiles_of(model: ir.Model, options: TargetOptions) -> tuple[Profile, ...]:
    """Profiles of the model's inputs with open sides.

    Raises:
        UsageError: see :func:`make_profiles`.
    """
    inputs = {value.name or "": static_shape(value) or () for value in model.graph.inputs}
    return make_profiles(inputs, options.shapes or ShapeRanges())


def _check_quantized(library: Library, layers: Sequence[BuiltLayer], plan: Plan) -> None:
    """Every node whose operands are quantized is computed from narrow numbers: else Q and DQ only cost accuracy.

    Raises:
        KernelMissingError: one is not.
    """
    reading = {use.node for item in plan.tensors if item.role is Role.ACTIVATION for use in item.uses}
    weights = (item for item in plan.tensors if item.role is Role.WEIGHT)
    for item in weights:
        for use in (use for use in item.uses if use.node in reading):
            layer = computing(layers, use.node)
            if layer is not None and layer.nodes and layer.precision not in NARROW:
                raise KernelMissingError(
                    f"{library.title} computes node {use.node!r} in {layer.precision} although it is quantized",
                    nodes=(use.node,),
                )


def _layers(library: Library, built: Built, options: TargetOptions) -> tuple[BuiltLayer, ...]:
    if built.layers or find_gpu() is None:
        return built.layers
    return inspect_engine(library, built.engine, options)
