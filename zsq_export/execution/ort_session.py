"""ONNX Runtime on the CPU, with any tensors of the graph as extra outputs."""

from __future__ import annotations

import re
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from zsq_export.errors import ModelError
from zsq_export.graph.saving import PROTO_LIMIT, save_model, serialize_model, weight_bytes

Arrays = dict[str, NDArray[Any]]

MESSAGE_LENGTH = 300
_FATAL = 4
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
_NODE = re.compile(r"Name:'([^']+)'|[Nn]ode ?\(([^)]+)\)")
_CODES = re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |/\S*onnxruntime/core/\S+ |Exception during [a-z]+: ")


class OrtSession:
    """A model loaded into ONNX Runtime.

    Args:
        model: the model, its bytes, or its file (needed for more than 2 GB of weights, unless it is an ir.Model).
        taps: names of tensors to return besides the graph's outputs.
        threads: intra-op threads; None: one per core.
        optimize: let ONNX Runtime rewrite the graph; False keeps every node as it is.

    Raises:
        ModelError: ONNX Runtime refuses the model, or a tap is not one of its tensors.
    """

    def __init__(
        self,
        model: ir.Model | bytes | Path,
        *,
        taps: Sequence[str] = (),
        threads: int | None = None,
        optimize: bool = True,
    ) -> None:
        options = _options(threads)
        with _one_line_errors("ONNX Runtime cannot load the model"), tempfile.TemporaryDirectory() as scratch:
            proto, folder = _proto_and_folder(model, Path(scratch))
            options.graph_optimization_level = _optimization(proto, optimize)
            _add_outputs(proto, taps)
            if folder is not None:
                options.add_session_config_entry(_EXTERNAL_FOLDER, str(folder))
            self._session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._inputs = {value.name: tuple(value.shape) for value in self._session.get_inputs()}
        produced = [value.name for value in self._session.get_outputs()]
        self._names = list(dict.fromkeys([*produced, *taps]))
        self._fetched = [name for name in self._names if name in set(produced)]

    @property
    def input_shapes(self) -> dict[str, tuple[int | str | None, ...]]:
        """Graph input name -> dimensions; text or None where symbolic."""
        return self._inputs

    @property
    def output_names(self) -> tuple[str, ...]:
        """What ``run`` returns, in order: the graph's outputs, then the taps."""
        return tuple(self._names)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Computes the graph's outputs and the taps.

        Args:
            feeds: graph input name -> array, of the input's shape and type.

        Raises:
            ModelError: an input is missing or does not fit, or a node fails; the message names it.
        """
        with _one_line_errors("ONNX Runtime cannot run the model"):
            results = self._session.run(self._fetched, dict(feeds)) if self._fetched else []
        found = dict(zip(self._fetched, results, strict=True))
        return {name: found[name] if name in found else feeds[name] for name in self._names}


def _options(threads: int | None) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.use_deterministic_compute = True
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # Spinning workers would take the cores away from the numpy and PyTorch code that runs between two calls.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _optimization(proto: onnx.ModelProto, optimize: bool) -> ort.GraphOptimizationLevel:
    """ONNX Runtime 1.32 rewrites QDQ models with 8-bit floats to something else: they run as they are written."""
    level = ort.GraphOptimizationLevel
    if not optimize:
        return level.ORT_DISABLE_ALL
    float8 = any(tensor.data_type == onnx.TensorProto.FLOAT8E4M3FN for tensor in proto.graph.initializer)
    return level.ORT_DISABLE_ALL if float8 else level.ORT_ENABLE_ALL


def _proto_and_folder(model: ir.Model | bytes | Path, scratch: Path) -> tuple[onnx.ModelProto, Path | None]:
    """The graph, and the folder of its external data if it has some."""
    if isinstance(model, bytes):
        return onnx.load_model_from_string(model), None
    if isinstance(model, Path):
        return onnx.load(model, load_external_data=False), model.resolve().parent
    if weight_bytes(model) <= PROTO_LIMIT:
        return onnx.load_model_from_string(serialize_model(model)), None
    save_model(model, scratch / "model.onnx")
    return onnx.load(scratch / "model.onnx", load_external_data=False), scratch


def _add_outputs(proto: onnx.ModelProto, taps: Sequence[str]) -> None:
    """Makes tensors graph outputs; graph inputs and outputs need nothing."""
    graph = proto.graph
    computed = {name for node in graph.node for name in node.output if name}
    known = {value.name: value for value in graph.value_info}
    outputs = {value.name for value in graph.output}
    inputs = {value.name for value in graph.input}
    for name in dict.fromkeys(taps):
        if name in outputs or name in inputs:
            continue
        if name not in computed:
            raise ModelError(f"tensor '{name}' is not computed by the model", hint="a tap must name a node's output")
        graph.output.append(known[name] if name in known else onnx.ValueInfoProto(name=name))


@contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    """Turns ONNX Runtime's and onnx's exceptions into a ModelError of one line."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, RuntimeError):
            raise ModelError(f"{what}: {error}") from error
        raise ModelError(f"{what}: {_summary(str(error))}", hint="see the named node in the model") from error


def _summary(text: str) -> str:
    """The message as one line without codes and source paths; the node's name first if it is known."""
    lines = (" ".join(_CODES.sub("", line).split()) for line in text.splitlines())
    message = textwrap.shorten("; ".join(line for line in lines if line) or "unknown error", MESSAGE_LENGTH)
    match = _NODE.search(text)
    name = next((group for group in match.groups() if group), "") if match else ""
    return message if not name or name in message else f"node '{name}': {message}"
