"""A strongly typed ONNX file becomes an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsq_export.atomic import write_file
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.tensorrt_gpu.layers import BuiltLayer, layers_from_log
from zsq_export.backends.tensorrt_gpu.messages import Message, errors_of, listening, logger_of, named_nodes
from zsq_export.backends.tensorrt_gpu.runtime import Library, capability_member
from zsq_export.backends.tensorrt_gpu.shapes import Profile
from zsq_export.errors import KernelMissingError, ModelError, TargetUnavailableError, UsageError

_MIB = 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class Built:
    """An engine, and what the builder's messages say of its layers (empty if nothing)."""

    engine: bytes
    layers: tuple[BuiltLayer, ...]


def build_engine(library: Library, file: Path, profiles: Sequence[Profile], options: TargetOptions) -> Built:
    """Parses and builds.

    Args:
        library: imported package.
        file: ONNX model whose types are those to compute in; external data beside it.
        profiles: of inputs with open sides.
        options: of the target, configured.

    Raises:
        TargetUnavailableError: the package needs a CUDA device to build, and there is none.
        UsageError: a compute capability that the package does not build for.
        ModelError: the parser refuses a node; names it.
        KernelMissingError: there is no kernel for a node; names it.
    """
    with listening(library.module) as messages:
        builder = _builder(library, messages)
        network = _parse(library, builder, file)
        config = builder.create_builder_config()
        _configure(library, builder, config, profiles, options)
        cache = _read_timing_cache(config, options.timing_cache)
        serialized = builder.build_serialized_network(network, config)
        if serialized is None:
            raise _build_error(library, messages)
        if cache is not None and options.timing_cache is not None:
            write_file(options.timing_cache, bytes(config.get_timing_cache().serialize()), overwrite=True)
        return Built(engine=bytes(serialized), layers=layers_from_log([message.text for message in messages]))


def _builder(library: Library, messages: list[Message]) -> Any:
    try:
        return library.module.Builder(logger_of(library.module))
    except (TypeError, RuntimeError) as error:
        reason = next(iter(errors_of(messages)), str(error))
        raise TargetUnavailableError(
            f"{library.title} cannot build here: {reason}", hint="it needs an NVIDIA GPU and its driver"
        ) from error


def _parse(library: Library, builder: Any, file: Path) -> Any:
    trt = library.module
    flag = trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED if library.api.strongly_typed_flag else None
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger_of(trt))
    if parser.parse_from_file(str(file)):
        return network
    found = [parser.get_error(index) for index in range(parser.num_errors)]
    raise ModelError(
        f"{library.title} cannot read the model: {_describe(found[0]) if found else 'no reason given'}",
        hint="leave the op to another runtime, or export the model without it",
    )


def _describe(error: Any) -> str:
    """One line of a parser's error, the node's name first."""
    lines = [line for line in str(error.desc()).splitlines() if line.strip() and "catchCudaError" not in line]
    reason = " ".join(" ".join(lines[:2]).split())
    name, operator = error.node_name(), error.node_operator()
    return f"node {name!r} ({operator}): {reason}" if name or operator else reason


def _configure(
    library: Library, builder: Any, config: Any, profiles: Sequence[Profile], options: TargetOptions
) -> None:
    trt = library.module
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * _MIB)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    members = [capability_member(library, text) for text in options.compute_capabilities or ()]
    if members:
        config.num_compute_capabilities = len(members)
    for index, member in enumerate(members):
        config.set_compute_capability(member, index)
    if profiles:
        profile = builder.create_optimization_profile()
        for entry in profiles:
            profile.set_shape(entry.name, entry.minimum, entry.optimum, entry.maximum)
        config.add_optimization_profile(profile)


def _read_timing_cache(config: Any, file: Path | None) -> Any:
    if file is None:
        return None
    cache = config.create_timing_cache(file.read_bytes() if file.is_file() else b"")
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        raise UsageError(
            f"the timing cache {file} is of another GPU or TensorRT", hint="give another file with --timing-cache"
        )
    return cache


def _build_error(library: Library, messages: list[Message]) -> Exception:
    texts = errors_of(messages)
    reason = texts[0] if texts else "the builder gives no reason"
    nodes = tuple(named_nodes(texts))
    for pattern, make in _KINDS:
        if any(pattern in text for text in texts):
            return make(f"{library.title} cannot build the engine: {reason}", nodes)
    return KernelMissingError(f"{library.title} cannot build the engine: {reason}", nodes=nodes)


def _too_little_memory(message: str, _nodes: tuple[str, ...]) -> Exception:
    return UsageError(message, hint="allow more with --workspace")


def _missing_library(message: str, _nodes: tuple[str, ...]) -> Exception:
    return TargetUnavailableError(message, hint="install the complete TensorRT")


_KINDS: tuple[tuple[str, Callable[[str, tuple[str, ...]], Exception]], ...] = (
    ("workspace limit", _too_little_memory),
    ("Unable to load library", _missing_library),
)
