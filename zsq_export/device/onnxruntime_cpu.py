"""ONNX Runtime's CPU provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batches import Arrays, ordered
from .errors import UNAVAILABLE, DeviceError, one_line
from .runtimes import RanOp

PROVIDERS = ["CPUExecutionProvider"]
_QUIET = 3
_KERNEL = "_kernel_time"
_PRECISIONS = {
    "float": "f32", "float16": "f16", "bfloat16": "bf16", "double": "f64", "int8": "i8", "uint8": "u8",
    "int16": "i16", "uint16": "u16", "int32": "i32", "int64": "i64", "bool": "bool",
}  # fmt: skip
"""The profile's type names by their short names."""
_ELEMENTS = {
    "tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
}  # fmt: skip
Event = Mapping[str, Any]


def version() -> str:
    """Name and version."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def float_precisions() -> tuple[str, ...]:
    """f32 only: the CPU provider has no bfloat16 convolutions."""
    return ("f32",)


def open_model(file: Path, *, precision: str, threads: int | None) -> OrtModel:
    """Loads an .onnx file.

    Raises:
        DeviceError: ONNX Runtime refuses it.
    """
    return OrtModel(file, threads=threads)


def session_options(threads: int | None) -> Any:
    """All optimizations on; ``threads`` None is ONNX Runtime's own choice."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


class OrtModel:
    """A model in one session.

    Args:
        file: an .onnx file.
        threads: None: ONNX Runtime's own choice.
    """

    def __init__(self, file: Path, *, threads: int | None) -> None:
        self._file = file
        self._session = _session(file, session_options(threads))
        self._inputs = [port.name for port in self._session.get_inputs()]
        self._outputs = [port.name for port in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch.

        Raises:
            DeviceError: an input is missing or has a shape that the model does not take.
        """
        feeds = self._feeds(inputs)
        try:
            results = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise DeviceError(f"ONNX Runtime cannot run these inputs: {one_line(error)}") from error
        return dict(zip(self._outputs, results, strict=True))

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """A call that runs these inputs once, buffers bound beforehand."""
        session, binding = self._session, self._session.io_binding()
        for name, array in self._feeds(inputs).items():
            binding.bind_cpu_input(name, array)
        for name in self._outputs:
            binding.bind_output(name, "cpu")

        def infer() -> None:
            session.run_with_iobinding(binding)

        return infer

    def ran(self) -> tuple[RanOp, ...]:
        """Every kernel of one inference on zeros, from the runtime's own profile."""
        return tuple(map(ran_op, self.profile()))

    def profile(self, optimized: Path | None = None) -> list[Event]:
        """The profiler's entry of every kernel of one inference on zeros, in order.

        Args:
            optimized: where to write the graph that ONNX Runtime made of the model; None: nowhere.

        Returns:
            Kernels of initialization that never run again are not among them.
        """
        options = session_options(1)
        options.enable_profiling = True
        if optimized is not None:
            options.optimized_model_filepath = str(optimized)
        with TemporaryDirectory() as folder:
            options.profile_file_prefix = str(Path(folder) / "profile")
            session = _session(self._file, options)
            session.run(None, {port.name: _zeros(port) for port in session.get_inputs()})
            events = json.loads(Path(session.end_profiling()).read_text())
        return [event for event in events if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)]

    def _feeds(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        return dict(zip(self._inputs, ordered(inputs, self._inputs), strict=True))


def ran_op(event: Event) -> RanOp:
    """What a profiled kernel is; its precision is the element type of its first input."""
    types = [kind for entry in event["args"].get("input_type_shape", []) for kind in entry]
    precision = precision_name(types[0]) if types else ""
    return RanOp(name=event["name"].removesuffix(_KERNEL), op_type=event["args"]["op_name"], precision=precision)


def precision_name(kind: str) -> str:
    """The short name of one of the profile's element types."""
    return _PRECISIONS.get(kind, kind)


def _session(file: Path, options: Any) -> Any:
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(str(file), options, providers=PROVIDERS)
    except Exception as error:
        raise DeviceError(f"ONNX Runtime cannot load {file.name}: {one_line(error)}", exit_code=UNAVAILABLE) from error


def _zeros(port: Any) -> NDArray[Any]:
    return np.zeros([side if isinstance(side, int) else 1 for side in port.shape], _ELEMENTS[port.type])
