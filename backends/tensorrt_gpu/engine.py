"""Loading an engine on this machine, or saying why it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zsq_export.backends.options import TargetOptions
from zsq_export.backends.tensorrt_gpu.layers import BuiltLayer, layers_from_inspector
from zsq_export.backends.tensorrt_gpu.messages import Message, errors_of, listening, logger_of
from zsq_export.backends.tensorrt_gpu.runtime import Library, device_obstacle, find_gpu
from zsq_export.errors import ArtifactError, TargetUnavailableError

_REBUILD = "convert the model again here"


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedEngine:
    """An engine on the device. The runtime has to live as long as the engine."""

    runtime: Any
    engine: Any


def load_engine(library: Library, data: bytes, options: TargetOptions) -> LoadedEngine:
    """Deserializes an engine.

    Raises:
        TargetUnavailableError: no GPU or driver, or the engine is for another compute capability or version.
        ArtifactError: these bytes are no engine.
    """
    obstacle = device_obstacle(library, find_gpu())
    if obstacle:
        raise TargetUnavailableError(f"{library.title} cannot run an engine here: {obstacle}")
    with listening(library.module) as messages:
        runtime = library.module.Runtime(logger_of(library.module))
        if options.version_compatible:
            runtime.engine_host_code_allowed = True
        if not data:
            raise ArtifactError("the engine is empty", hint=_REBUILD)
        engine = runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise _refusal(library, messages)
        return LoadedEngine(runtime=runtime, engine=engine)


def inspect_engine(library: Library, data: bytes, options: TargetOptions) -> tuple[BuiltLayer, ...]:
    """The layers of an engine that runs on this device."""
    loaded = load_engine(library, data, options)
    return inspect_loaded(library, loaded)


def inspect_loaded(library: Library, loaded: LoadedEngine) -> tuple[BuiltLayer, ...]:
    """The layers as the engine inspector tells them."""
    inspector = loaded.engine.create_engine_inspector()
    return layers_from_inspector(inspector.get_engine_information(library.module.LayerInformationFormat.JSON))


def _refusal(library: Library, messages: list[Message]) -> Exception:
    texts = errors_of(messages)
    reason = texts[0] if texts else "no reason given"
    for word, hint in _REASONS:
        if any(word in text.lower() for text in texts):
            return TargetUnavailableError(f"{library.title} refuses the engine: {reason}", hint=hint)
    return ArtifactError(f"{library.title} cannot read the engine: {reason}", hint=_REBUILD)


_REASONS = (
    ("version", "it was built by another version: convert the model again with the one that is installed here"),
    ("compute capability", "it was built for another GPU: convert the model again with --compute-capability"),
    ("incompatible device", "it was built for another GPU: convert the model again on this one"),
    ("driver", "update the NVIDIA driver"),
)
