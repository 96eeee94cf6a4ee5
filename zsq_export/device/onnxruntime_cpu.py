"""ONNX Runtime's CPU provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batches import Arrays
from .runtimes import RanOp

PROVIDERS = ["CPUExecutionProvider"]
_QUIET = 3
_KERNEL = "_kernel_time"
_PRECISIONS = {
    "float": "f32", "float16": "f16", "bfloat16": "bf16", "double": "f64", "int8": "i8", "uint8": "u8",
    "int16": "i16", "uint16": "u16", "int32": "i32", "int64": "i64", "bool": "bool",
}  # fmt: skip
"""The profile's type names by their short names."""


def version() -> str:
    """Name and version."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def float_precisions() -> tuple[str, ...]:
    """f32 only: the CPU provider has no bfloat16 convolutions."""
    return ("f32",)


def open_model(file: Path, *, precision: str, threads: int | None) -> OrtModel:
    """Loads an .onnx file."""
    return OrtModel(file, threads)


def session_options(threads: int | None) -> Any:
    """All optimizations on; ``threads`` None is ONNX Runtime's own choice."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


def bound_call(session: Any, feeds: Arrays, outputs: Sequence[str]) -> Callable[[], None]:
    """A call that runs these feeds once, buffers bound beforehand."""
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    for name in outputs:
        binding.bind_output(name, "cpu")

    def infer() -> None:
        session.run_with_iobinding(binding)

    return infer


class OrtModel:
    """A model in one session."""

    def __init__(self, file: Path, threads: int | None) -> None:
        import onnxruntime

        self._file = file
        self._session = onnxruntime.InferenceSession(str(file), session_options(threads), providers=PROVIDERS)
        self._outputs = [port.name for port in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch."""
        return dict(zip(self._outputs, self._session.run(self._outputs, self._feeds(inputs)), strict=True))

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """A call that runs these inputs once, buffers bound beforehand."""
        return bound_call(self._session, self._feeds(inputs), self._outputs)

    def ran(self) -> tuple[RanOp, ...]:
        """Every kernel of one inference on zeros, from the runtime's own profile."""
        import onnxruntime

        options = session_options(1)
        options.enable_profiling = True
        with TemporaryDirectory() as folder:
            options.profile_file_prefix = str(Path(folder) / "profile")
            session = onnxruntime.InferenceSession(str(self._file), options, providers=PROVIDERS)
            session.run(None, {port.name: _zeros(port) for port in session.get_inputs()})
            events = json.loads(Path(session.end_profiling()).read_text())
        kernels = [event for event in events if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)]
        return tuple(_ran(event) for event in kernels)

    def _feeds(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        return {port.name: np.ascontiguousarray(inputs[port.name], np.float32) for port in self._session.get_inputs()}


def _zeros(port: Any) -> NDArray[np.float32]:
    return np.zeros([side if isinstance(side, int) else 1 for side in port.shape], np.float32)


def _ran(event: dict[str, Any]) -> RanOp:
    types = [kind for entry in event["args"].get("input_type_shape", []) for kind in entry]
    precision = _PRECISIONS.get(types[0], types[0]) if types else ""
    return RanOp(name=event["name"].removesuffix(_KERNEL), op_type=event["args"]["op_name"], precision=precision)
