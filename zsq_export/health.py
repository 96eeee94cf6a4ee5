"""What of this machine matters: versions, CPU, disk, runtimes, and what is wrong with them."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from zsq_export.device.cpu import this_cpu
from zsq_export.device.runtimes import core_count
from zsq_export.listing import Target, list_targets
from zsq_export.version import package_version, version

_PACKAGES = (
    "onnx",
    "onnx-ir",
    "onnxscript",
    "onnxruntime",
    "numpy",
    "torch",
    "click",
    "rich",
    "jinja2",
    "pillow",
)
_LOW_DISK = 2 * 10**9


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is in the way, and what to do. ``fatal``: nothing can be converted until then."""

    text: str
    hint: str
    fatal: bool = False


@dataclass(frozen=True, kw_only=True)
class Health:
    """See the module's docstring.

    Attributes:
        version: of zsq-export.
        python: version.
        platform: operating system and architecture.
        packages: (name, version or "missing").
        cpu: model name.
        cpu_count: logical cores that this process may use.
        int8_hardware: vector or matrix extension for 8-bit integers, "" if none was found.
        torch_threads: threads that PyTorch will use; None where it cannot be imported.
        free_disk: bytes in the working folder.
        targets: all registered.
        problems: worst first.
    """

    version: str
    python: str
    platform: str
    packages: tuple[tuple[str, str], ...]
    cpu: str
    cpu_count: int
    int8_hardware: str
    torch_threads: int | None
    free_disk: int
    targets: tuple[Target, ...]
    problems: tuple[Problem, ...]


def examine() -> Health:
    """Looks at this machine; never raises for something that is missing."""
    cpu, targets = this_cpu(), list_targets()
    packages = tuple((name, package_version(name) or "missing") for name in _PACKAGES)
    free = shutil.disk_usage(Path.cwd()).free
    problems = (*_package_problems(packages), *_target_problems(targets), *_machine_problems(cpu.int8_extension, free))
    return Health(
        version=version(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages=packages,
        cpu=cpu.model,
        cpu_count=core_count(),
        int8_hardware=cpu.int8_extension,
        torch_threads=_torch_threads(),
        free_disk=free,
        targets=targets,
        problems=tuple(sorted(problems, key=lambda problem: not problem.fatal)),
    )


def _package_problems(packages: tuple[tuple[str, str], ...]) -> list[Problem]:
    return [
        Problem(text=f"the package {name} is missing", hint=f"pip install {name}", fatal=True)
        for name, found in packages
        if found == "missing"
    ]


def _target_problems(targets: tuple[Target, ...]) -> list[Problem]:
    missing = [target for target in targets if not target.probe.available]
    fatal = len(missing) == len(targets)
    return [
        Problem(text=f"the target {target.name} cannot run here", hint=target.probe.hint, fatal=fatal)
        for target in missing
    ]


def _machine_problems(int8_hardware: str, free: int) -> list[Problem]:
    problems = []
    if not int8_hardware:
        text = "no 8-bit integer extension was found on this CPU: int8 may be no faster than float here"
        problems.append(Problem(text=text, hint="measure with `zsq-export validate`; accuracy is not affected"))
    if free < _LOW_DISK:
        problems.append(Problem(text=f"only {free / 1e9:.1f} GB of disk are free", hint="free some space"))
    return problems


def _torch_threads() -> int | None:
    try:
        import torch
    except (ImportError, OSError):
        return None
    return torch.get_num_threads()
