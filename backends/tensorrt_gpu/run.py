"""Inference with TensorRT on buffers that PyTorch allocates.

Written to the documented API and not executed so far: no GPU that TensorRT for RTX runs on was at hand, and the full
TensorRT does not install from PyPI alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zsq_export.backends.base import Arrays, ExecutedOp
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.tensorrt_gpu.engine import inspect_loaded, load_engine
from zsq_export.backends.tensorrt_gpu.layers import layers_from_json, with_macs
from zsq_export.backends.tensorrt_gpu.messages import errors_of, listening
from zsq_export.backends.tensorrt_gpu.runtime import Library
from zsq_export.errors import DataError, TargetUnavailableError

if TYPE_CHECKING:
    import torch

_WARM_UP = 3


class TensorRtRunner:
    """An engine on the first CUDA device."""

    def __init__(self, library: Library, data: bytes, options: TargetOptions, *, layers: Path | None = None) -> None:
        """Loads the engine.

        Args:
            library: imported package.
            data: the serialized engine.
            options: it was built with.
            layers: ``layers.json`` of the artifact: tells the arithmetic of each node.

        Raises:
            TargetUnavailableError: it cannot run here; the message says what to do.
            ArtifactError: it is no engine.
        """
        self._library = library
        self._loaded = load_engine(library, data, options)
        self._layers = layers
        self._context = self._loaded.engine.create_execution_context()
        if self._context is None:
            raise TargetUnavailableError(f"{library.title} cannot set up the engine", hint="free some GPU memory")
        engine, mode = self._loaded.engine, library.module.TensorIOMode
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self._inputs = [name for name in names if engine.get_tensor_mode(name) == mode.INPUT]
        self._outputs = [name for name in names if engine.get_tensor_mode(name) == mode.OUTPUT]

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch.

        Raises:
            DataError: an input is missing, or has a shape that the engine was not built for.
            TargetUnavailableError: the device fails.
        """

        buffers = self._prepare(inputs)
        stream = _new_stream()
        self._enqueue(stream)
        stream.synchronize()
        return {name: buffers[name].float().cpu().numpy() for name in self._outputs}

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """A call that runs these inputs once and waits for the end: a CUDA graph where the engine can be captured.

        The inputs are on the device already, as with the other runners.
        """

        buffers = self._prepare(inputs)
        stream = _new_stream()
        for _ in range(_WARM_UP):
            self._enqueue(stream)
        stream.synchronize()
        replay = self._capture(stream)

        def infer() -> None:
            replay()
            stream.synchronize()
            assert buffers  # the addresses that the engine writes to stay allocated

        return infer

    def executed_precisions(self) -> tuple[ExecutedOp, ...]:
        """Every layer of the engine with the type that it computes in, from the engine inspector."""
        layers = inspect_loaded(self._library, self._loaded)
        if self._layers is not None and self._layers.is_file():
            layers = with_macs(layers, _macs_of(self._layers))
        return tuple(
            ExecutedOp(name=layer.name, op_type=layer.kind, precision=layer.precision, macs=layer.macs)
            for layer in layers
        )

    def _prepare(self, inputs: Arrays) -> dict[str, torch.Tensor]:
        """Buffers of all inputs and outputs on the device, their addresses given to the engine."""
        import torch

        buffers = {}
        for name in self._inputs:
            if name not in inputs:
                raise DataError(f"no data for input {name!r}", hint=f"inputs are {', '.join(self._inputs)}")
            array = np.ascontiguousarray(inputs[name])
            buffers[name] = torch.from_numpy(array).to("cuda", dtype=self._dtype(name)).contiguous()
            if not self._context.set_input_shape(name, array.shape):
                raise DataError(f"input {name!r} cannot be {list(array.shape)}: {self._allowed(name)}",
                                hint="convert again with --max-shape")  # fmt: skip
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            if any(side < 0 for side in shape):
                raise DataError(f"the shape of output {name!r} depends on the data: {list(shape)}")
            buffers[name] = torch.empty(shape, dtype=self._dtype(name), device="cuda")
        for name, buffer in buffers.items():
            self._context.set_tensor_address(name, buffer.data_ptr())
        return buffers

    def _allowed(self, name: str) -> str:
        low, _, high = (tuple(shape) for shape in self._loaded.engine.get_tensor_profile_shape(name, 0))
        return f"the engine takes {list(low)} to {list(high)}"

    def _dtype(self, name: str) -> torch.dtype:
        import torch

        trt = self._library.module.DataType
        types = {
            trt.FLOAT: torch.float32,
            trt.HALF: torch.float16,
            trt.BF16: torch.bfloat16,
            trt.INT8: torch.int8,
            trt.UINT8: torch.uint8,
            trt.INT32: torch.int32,
            trt.INT64: torch.int64,
            trt.BOOL: torch.bool,
        }
        found = self._loaded.engine.get_tensor_dtype(name)
        if found not in types:
            raise DataError(f"tensor {name!r} has type {found}, which has no PyTorch buffer")
        return types[found]

    def _enqueue(self, stream: torch.cuda.Stream) -> None:
        with listening(self._library.module) as messages:
            if not self._context.execute_async_v3(stream.cuda_stream):
                reason = next(iter(errors_of(messages)), "no reason given")
                raise TargetUnavailableError(f"the engine fails on this device: {reason}", hint="convert it again here")

    def _capture(self, stream: torch.cuda.Stream) -> Callable[[], None]:
        """Replays a captured graph, or enqueues where the engine cannot be captured."""
        import torch

        def enqueue() -> None:
            self._enqueue(stream)

        if self._library.api.capture_asked and not self._context.is_stream_capturable(stream.cuda_stream):
            return enqueue
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=stream):
                self._enqueue(stream)
        except (RuntimeError, TargetUnavailableError):
            return enqueue

        def replay() -> None:
            with torch.cuda.stream(stream):
                graph.replay()

        return replay


def _new_stream() -> torch.cuda.Stream:
    """A stream that starts when what was copied to the device has arrived."""
    import torch

    stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    return stream


def _macs_of(file: Path) -> dict[str, int]:
    """ONNX node -> multiply-accumulates, as the artifact's layers tell them; of several nodes in a layer the first."""
    return {layer.nodes[0]: layer.macs for layer in layers_from_json(file.read_text()) if layer.nodes and layer.macs}
