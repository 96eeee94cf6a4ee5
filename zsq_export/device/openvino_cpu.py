"""OpenVINO's CPU plugin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batches import Arrays
from .cpu import this_cpu
from .errors import UNAVAILABLE, DeviceError
from .runtimes import RanOp

DEVICE = "CPU"
_NOT_EXECUTED = frozenset({"Const", "Input", "Output", "Result"})


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
    """Loads an IR file."""
    return OpenVinoModel(file, precision, threads)


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
    """A model compiled once for each shape of inputs: kernels of a dynamic one are chosen anew for every request."""

    def __init__(self, file: Path, precision: str, threads: int | None) -> None:
        import openvino

        self._core = openvino.Core()
        self._model = self._core.read_model(file)
        self._config = compile_config(precision, threads)
        self._inputs = [port_name(port) for port in self._model.inputs]
        self._outputs = [port_name(port) for port in self._model.outputs]
        self._compiled: dict[tuple[tuple[int, ...], ...], Any] = {}

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch."""
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
        shapes = tuple(one_sample(port.partial_shape) for port in self._model.inputs)
        ops = self._compile(shapes).get_runtime_model().get_ordered_ops()
        found = [(op.get_friendly_name(), op.get_rt_info()) for op in ops]
        return tuple(
            RanOp(name=name, op_type=_text(info, "layerType"), precision=_text(info, "runtimePrecision"))
            for name, info in found
            if _text(info, "layerType") not in _NOT_EXECUTED
        )

    def _request(self, inputs: Arrays) -> Any:
        import openvino

        arrays = [np.ascontiguousarray(inputs[name], np.float32) for name in self._inputs]
        request = self._compile(tuple(array.shape for array in arrays)).create_infer_request()
        for index, array in enumerate(arrays):
            request.set_input_tensor(index, openvino.Tensor(array, shared_memory=False))
        return request

    def _compile(self, shapes: tuple[tuple[int, ...], ...]) -> Any:
        if shapes not in self._compiled:
            model = self._model
            if any(port.partial_shape.is_dynamic for port in model.inputs):
                model = model.clone()
                model.reshape(dict(enumerate(shapes)))
            try:
                self._compiled[shapes] = self._core.compile_model(model, DEVICE, self._config)
            except RuntimeError as error:
                reason = str(error).strip().splitlines()[-1]
                raise DeviceError(f"OpenVINO cannot compile the model: {reason}", exit_code=UNAVAILABLE) from error
        return self._compiled[shapes]


def one_sample(shape: Any) -> tuple[int, ...]:
    """The shape with one sample, and the least of every other side that is open."""
    return tuple(
        side.get_length() if side.is_static else (1 if axis == 0 else max(1, side.get_min_length()))
        for axis, side in enumerate(shape)
    )


def _text(info: Any, key: str) -> str:
    return str(info[key].astype(str)) if key in info else ""
