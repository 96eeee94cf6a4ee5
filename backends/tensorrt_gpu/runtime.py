"""TensorRT itself: is it here, which version, which GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from zsq_export.backends.base import Probe
from zsq_export.backends.tensorrt_gpu.flavours import Api, Flavour, api_of
from zsq_export.errors import TargetUnavailableError, UsageError


@dataclass(frozen=True, kw_only=True)
class Library:
    """An imported package.

    Attributes:
        flavour: which one.
        module: imported.
        version: of it.
        api: what this version offers.
    """

    flavour: Flavour
    module: ModuleType
    version: str
    api: Api

    @property
    def title(self) -> str:
        """Name and version, for people."""
        return f"{self.flavour.name} {self.version}"


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """The first CUDA device. ``capability`` is its compute capability, (8, 9) for 8.9."""

    name: str
    capability: tuple[int, int]


def import_library(flavour: Flavour) -> Library:
    """Imports the package.

    Raises:
        TargetUnavailableError: it is missing or broken, or of a version that this program does not know.
    """
    hint = f"pip install zsq-export[{flavour.extra}]"
    try:
        module = import_module(flavour.module)
    except (ImportError, OSError) as error:
        raise TargetUnavailableError(f"{flavour.module} cannot be imported: {error}", hint=hint) from error
    version = str(getattr(module, "__version__", ""))
    api = api_of(flavour, version)
    if api is None:
        raise TargetUnavailableError(f"{flavour.module} {version or 'without a version'} is not supported", hint=hint)
    return Library(flavour=flavour, module=module, version=version, api=api)


def find_gpu() -> Gpu | None:
    """The first CUDA device, or None where there is none or its driver does not answer."""
    import torch

    if not torch.cuda.is_available():
        return None
    return Gpu(name=torch.cuda.get_device_name(0), capability=torch.cuda.get_device_capability(0))


def probe(flavour: Flavour) -> Probe:
    """What there is of the package and of a GPU here; never raises."""
    try:
        library = import_library(flavour)
        gpu = find_gpu()
    except Exception as error:
        hint = getattr(error, "hint", "") or str(error)
        return Probe(available=False, runtime="", device="", hint=hint)
    obstacle = device_obstacle(library, gpu)
    return Probe(
        available=not obstacle,
        runtime=library.title,
        device=gpu.name if gpu else "no CUDA device",
        hint=obstacle,
        lowers=gpu is not None or flavour.builds_without_device,
    )


def device_obstacle(library: Library, gpu: Gpu | None) -> str:
    """Why engines cannot run here, and what to do; "" if they can."""
    if gpu is None:
        what = "engines can be built here, but not run" if library.flavour.builds_without_device else "it is needed"
        return f"no CUDA device or driver answers ({what}): validate the artifact on a machine with an NVIDIA GPU"
    known = compute_capabilities(library)
    if known and gpu.capability not in known and gpu.capability < max(known):
        names = ", ".join(f"{major}.{minor}" for major, minor in sorted(known))
        major, minor = gpu.capability
        return (
            f"{gpu.name} has compute capability {major}.{minor}, {library.title} runs on {names} and later: "
            "use another GPU, or --target tensorrt"
        )
    return ""


def compute_capabilities(library: Library) -> dict[tuple[int, int], object]:
    """Compute capability -> member of the package's enumeration; empty where devices cannot be chosen."""
    if not library.api.compute_capabilities:
        return {}
    members = library.module.ComputeCapability.__members__
    digits = {name.removeprefix("SM"): member for name, member in members.items() if name.startswith("SM")}
    return {(int(text[:-1]), int(text[-1])): member for text, member in digits.items()}


def capability_member(library: Library, text: str) -> Any:
    """The package's enumeration member of a compute capability written as "8.9".

    Raises:
        UsageError: the package does not build for it.
    """
    known = compute_capabilities(library)
    major, _, minor = text.partition(".")
    key = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
    if key not in known:
        names = ", ".join(f"{a}.{b}" for a, b in sorted(known))
        raise UsageError(
            f"{library.title} does not build for compute capability {text!r}", hint=f"it builds for {names}"
        )
    return known[key]


def check_capabilities(flavour: Flavour, texts: Sequence[str]) -> None:
    """Refuses devices that the package does not build for, before any work starts; a missing package is found later.

    Raises:
        UsageError: a compute capability that is unknown to it.
    """
    try:
        library = import_library(flavour)
    except TargetUnavailableError:
        return
    for text in texts:
        capability_member(library, text)
