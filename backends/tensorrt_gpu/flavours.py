"""The two packages and their versions: everything that differs between them, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from zsq_export.planning.schemes import Scheme


@dataclass(frozen=True, kw_only=True)
class Flavour:
    """One package.

    Attributes:
        name: of the target.
        summary: one line about it.
        module: to import.
        extra: pip extra that installs it.
        schemes: that it has, the default first.
        builds_without_device: engines can be built on a machine without a GPU.
        options: attributes of ``TargetOptions`` that only this package has.
    """

    name: str
    summary: str
    module: str
    extra: str
    schemes: tuple[Scheme, ...]
    builds_without_device: bool
    options: tuple[str, ...]


TENSORRT = Flavour(
    name="tensorrt",
    summary="TensorRT engines for NVIDIA GPUs (built on the GPU that they are for)",
    module="tensorrt",
    extra="tensorrt",
    schemes=(Scheme.INT8, Scheme.FP8, Scheme.INT4_WEIGHT, Scheme.FP16),
    builds_without_device=False,
    options=("timing_cache", "version_compatible", "hardware_compatible"),
)

TENSORRT_RTX = Flavour(
    name="tensorrt-rtx",
    summary="TensorRT for RTX engines (built anywhere)",
    module="tensorrt_rtx",
    extra="tensorrt-rtx",
    schemes=(Scheme.FP16, Scheme.INT8, Scheme.FP8, Scheme.INT4_WEIGHT),
    builds_without_device=True,
    options=("compute_capabilities",),
)
"""Timing caches do nothing there since 1.2, and version-compatible engines need a library that its wheels lack."""


@dataclass(frozen=True, kw_only=True)
class Api:
    """What one major version of a package offers.

    Attributes:
        module: of the package.
        major: of its version.
        strongly_typed_flag: types follow the file only if the network is created with this flag; later versions know
            nothing else.
        compute_capabilities: devices can be chosen (``ComputeCapability``).
        engine_validity: an engine's header says whether it runs here (``Runtime.get_engine_validity``).
        capture_asked: a context says whether it may be captured (``is_stream_capturable``).
    """

    module: str
    major: int
    strongly_typed_flag: bool
    compute_capabilities: bool = False
    engine_validity: bool = False
    capture_asked: bool = False


APIS = (
    Api(module="tensorrt", major=10, strongly_typed_flag=True),
    Api(module="tensorrt", major=11, strongly_typed_flag=False),
    Api(
        module="tensorrt_rtx",
        major=1,
        strongly_typed_flag=False,
        compute_capabilities=True,
        engine_validity=True,
        capture_asked=True,
    ),
)


def api_of(flavour: Flavour, version: str) -> Api | None:
    """The row of an installed version, or None for one that is not known."""
    major = version.partition(".")[0]
    return next((api for api in APIS if api.module == flavour.module and str(api.major) == major), None)
