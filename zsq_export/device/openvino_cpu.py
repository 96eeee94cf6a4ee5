"""OpenVINO's CPU plugin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batches import Arrays, ordered
from .cpu import this_cpu
from .errors import UNAVAILABLE, DeviceError, one_line
from .runtimes import RanOp

DEVICE = "CPU"
REST_PRECISION = ("zsq_export", "float_precision")
"""Path of the note in an IR file that says in which precision runs what is not quantized."""
_NOT_EXECUTED = frozenset({"Const", "Input", "Output", "Result"})
_MAX_COMPILED = 4
"""Input shapes compiled on their own; further ones share the dynamic model."""
_Shapes = tuple[tuple[int, ...], ...]


def version() -> str:
    """Name and version."""
    import openvino

    if DEVICE not in openvino.Core().available_devices:
        raise OSError("this OpenVINO was built without its CPU plugin")
    return f"openvino {str(openvino.__version__).split('-', maxsplit=1)[0]}"


def float_precisions() -> tuple[str, ...]:
    """f32, and the half precisions that this CPU multiplies natively."""
    cpu = this_cpu()
    return ("f32", *(["bf16"] if cpu.has_bf16 else []), *(["f16"] if cpu.has_f16 else []))


def open_model(file: Path, *, precision: str, threads: int | None) -> OpenVinoModel:
    """Loads an IR file; ``precision`` is for files that do not say their own.

    Raises:
        DeviceError: OpenVINO cannot read it.
    """
    import openvino

    try:
        model = openvino.Core().read_model(file)
    except RuntimeError as error:
        raise DeviceError(f"OpenVINO cannot read {file.name}: {one_line(error, last=True)}") from error
    return OpenVinoModel(model, precision=rest_precision(model, precision), threads=threads)


def rest_precision(model: Any, otherwise: str) -> str:
    """The precision that a file says, f32 where this CPU does not have it; of files that say none, the other one."""
    if not model.has_rt_info(list(REST_PRECISION)):
        return otherwise
    said = str(model.get_rt_info(list(REST_PRECISION)).astype(str))
    return said if said in float_precisions() else "f32"


def compile_config(precision: str, threads: int | None) -> dict[str, str]:
    """One stream of requests at the lowest latency.

    OpenVINO takes bfloat16 by itself where the CPU has it, so the precision is always said.
    """
    config = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": precision}
    return config if threads is None else config | {"INFERENCE_NUM_THREADS": str(threads)}


def port_name(port: Any) -> str:
    """Name of the ONNX tensor; a port has several where ops in between were dropped, the shortest is the tensor's."""
    names = sorted(port.get_names(), key=lambda name: (len(name), name))
    return names[0] if names else str(port.get_node().get_friendly_name())


class OpenVinoModel:
    """A model compiled for each shape of inputs.

    Kernels of a dynamic model are chosen anew for every request; with the shape known beforehand they are fixed once.

    Args:
        model: an ``openvino.Model``.
        precision: of what runs in floating point.
        threads: None: all cores.
    """

    def __init__(self, model: Any, *, precision: str, threads: int | None) -> None:
        self._model = model
        self._config = compile_config(precision, threads)
        self._inputs = [port_name(port) for port in model.inputs]
        self._outputs = [port_name(port) for port in model.outputs]
        self._compiled: dict[_Shapes, Any] = {}

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch.

        Raises:
            DeviceError: an input is missing or has a shape that the model does not take.
        """
        request = self._request(inputs)
        request.infer()
        return {name: np.array(request.get_output_tensor(index).data) for index, name in enumerate(self._outputs)}

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """A call that runs these inputs once, with nothing else in it."""
        request = self._request(inputs)

        def infer() -> None:
            request.infer()

        return infer

    def ran(self) -> tuple[RanOp, ...]:
        """Every op of the runtime's own graph, compiled for one sample."""
        return tuple(entry for _, entry in ran_ops(self.one_sample_models()[0]))

    def one_sample_models(self) -> tuple[Any, Any]:
        """The graph that the runtime made of the model for one sample, and the model with these shapes."""
        shapes = tuple(_one_sample(port.partial_shape) for port in self._model.inputs)
        return self._compile(shapes).get_runtime_model(), self._reshaped(shapes)

    def _request(self, inputs: Arrays) -> Any:
        import openvino

        arrays = ordered(inputs, self._inputs)
        shapes = tuple(array.shape for array in arrays)
        request = self._compile(shapes).create_infer_request()
        try:
            for index, array in enumerate(arrays):
                request.set_input_tensor(index, openvino.Tensor(array, shared_memory=False))
        except RuntimeError as error:
            raise _wrong_shapes(shapes, error) from error
        return request

    def _compile(self, shapes: _Shapes) -> Any:
        key = shapes if self._is_dynamic() and len(self._compiled) < _MAX_COMPILED else ()
        key = shapes if shapes in self._compiled else key
        if key not in self._compiled:
            self._compiled[key] = _compiled(self._reshaped(key) if key else self._model, self._config)
        return self._compiled[key]

    def _is_dynamic(self) -> bool:
        return any(port.partial_shape.is_dynamic for port in self._model.inputs)

    def _reshaped(self, shapes: _Shapes) -> Any:
        static = self._model.clone()
        try:
            static.reshape(dict(enumerate(shapes)))
        except RuntimeError as error:
            raise _wrong_shapes(shapes, error) from error
        return static


def ran_ops(runtime: Any) -> list[tuple[Any, RanOp]]:
    """Nodes of a runtime's own graph that really run, in order, with what they are."""
    found = [(op, op.get_rt_info()) for op in runtime.get_ordered_ops()]
    return [
        (op, RanOp(name=op.get_friendly_name(), op_type=kind, precision=info_text(info, "runtimePrecision")))
        for op, info in found
        if (kind := info_text(info, "layerType")) not in _NOT_EXECUTED
    ]


def info_text(info: Any, key: str) -> str:
    """One entry of what a runtime notes of a node, "" without."""
    return str(info[key].astype(str)) if key in info else ""


def _compiled(model: Any, config: dict[str, str]) -> Any:
    import openvino

    try:
        return openvino.Core().compile_model(model, DEVICE, config)
    except RuntimeError as error:
        reason = one_line(error, last=True)
        raise DeviceError(f"OpenVINO cannot compile the model for this CPU: {reason}", exit_code=UNAVAILABLE) from error


def _one_sample(shape: Any) -> tuple[int, ...]:
    """The shape with one sample, and the least of every other side that is open."""
    return tuple(
        side.get_length() if side.is_static else (1 if axis == 0 else max(1, side.get_min_length()))
        for axis, side in enumerate(shape)
    )


def _wrong_shapes(shapes: _Shapes, error: RuntimeError) -> DeviceError:
    return DeviceError(f"the model does not take inputs of shape {shapes}: {one_line(error, last=True)}")
