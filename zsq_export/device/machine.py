"""What the device is, as far as it tells: processor, clocks, temperatures, throttling, load."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cpu import this_cpu
from .runtimes import core_count

_SYS = Path("/sys")
_GPU_QUERY = ("--query-gpu=name,driver_version", "--format=csv,noheader")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One thing that the device tells of itself: what, and its value with the unit."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class DeviceInfo:
    """Where results were measured.

    Attributes:
        cpu: model of the processor.
        gpu: model and driver of the first NVIDIA GPU, "" if there is none.
        int8_hardware: the best int8 extension of the processor, "" where unknown.
        cores: logical cores that the runner could use.
        memory_mib: of the device; 0 where unknown.
        system: operating system, its version and architecture.
        runtime: name and version.
        python: version.
        numpy: version.
        readings: governor, clocks, temperatures, throttling and load, where they can be read; named "... before" or
            "... after" the measurement where they change.
    """

    cpu: str
    gpu: str
    int8_hardware: str
    cores: int
    memory_mib: int
    system: str
    runtime: str
    python: str
    numpy: str
    readings: tuple[Reading, ...]


def describe(runtime: str, readings: Iterable[Reading]) -> DeviceInfo:
    """This device.

    Args:
        runtime: name and version.
        readings: taken before and after the measurement.
    """
    cpu = this_cpu()
    return DeviceInfo(
        cpu=cpu.model,
        gpu=_gpu(),
        int8_hardware=cpu.int8_extension,
        cores=core_count(),
        memory_mib=_memory_mib(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        runtime=runtime,
        python=platform.python_version(),
        numpy=np.__version__,
        readings=tuple(readings),
    )


def read_settings(root: Path = _SYS) -> list[Reading]:
    """What does not change while measuring: governors, driver and clock limits; empty where the system has none."""
    cpus = root / "devices/system/cpu"
    found = [
        ("governor", _distinct(cpus.glob("cpu[0-9]*/cpufreq/scaling_governor"))),
        ("clock driver", _distinct(cpus.glob("cpu[0-9]*/cpufreq/scaling_driver"))),
        ("lowest clock", _megahertz(cpus.glob("cpu[0-9]*/cpufreq/scaling_min_freq"))),
        ("highest clock", _megahertz(cpus.glob("cpu[0-9]*/cpufreq/scaling_max_freq"))),
    ]
    return [Reading(name=name, value=value) for name, value in found if value]


def read_state(moment: str, root: Path = _SYS) -> list[Reading]:
    """What changes while measuring: clocks, temperatures, load, and how often the processor was throttled so far.

    Args:
        moment: "before" or "after".
        root: of sysfs; replaced in tests.
    """
    cpus = root / "devices/system/cpu"
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    found = [
        ("clock", _megahertz(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))),
        ("highest temperature", _celsius((root / "class/thermal").glob("thermal_zone*/temp"))),
        ("thermal throttle events", _sum(cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))),
        ("throttled (Raspberry Pi flags)", _distinct(root.glob("devices/platform/soc/soc:firmware/get_throttled"))),
        ("cooling in use", _cooling(root / "class/thermal")),
        ("load of one minute", load),
    ]
    return [Reading(name=f"{name} {moment}", value=value) for name, value in found if value]


def is_throttled(readings: Iterable[Reading]) -> bool:
    """Whether throttle events were counted between "before" and "after", or a Raspberry Pi says that it throttles."""
    values = {entry.name: entry.value for entry in readings}
    before, after = (values.get(f"thermal throttle events {moment}") for moment in ("before", "after"))
    flags = values.get("throttled (Raspberry Pi flags) after", "0")
    return (before is not None and after is not None and int(after) > int(before)) or flags.lstrip("0x") != ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _numbers(paths: Iterable[Path]) -> list[int]:
    texts = (_text(path) for path in paths)
    return [int(text) for text in texts if text.lstrip("-").isdecimal()]


def _distinct(paths: Iterable[Path]) -> str:
    return ", ".join(sorted({text for path in paths if (text := _text(path))}))


def _megahertz(paths: Iterable[Path]) -> str:
    clocks = sorted({round(kilohertz / 1000) for kilohertz in _numbers(paths)})
    if not clocks:
        return ""
    return f"{clocks[0]} MHz" if len(clocks) == 1 else f"{clocks[0]} to {clocks[-1]} MHz"


def _celsius(paths: Iterable[Path]) -> str:
    temperatures = _numbers(paths)
    return f"{max(temperatures) / 1000:.1f} °C" if temperatures else ""


def _sum(paths: Iterable[Path]) -> str:
    counts = _numbers(paths)
    return str(sum(counts)) if counts else ""


def _cooling(thermal: Path) -> str:
    """Cooling devices (fans, clock limits) that are not at rest."""
    active = [
        f"{_text(device / 'type')} {state}"
        for device in sorted(thermal.glob("cooling_device*"))
        if (state := _text(device / "cur_state")) not in ("", "0")
    ]
    return ", ".join(active)


def _memory_mib() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (AttributeError, ValueError, OSError):
        return 0


def _gpu() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *_GPU_QUERY], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""
