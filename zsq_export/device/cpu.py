"""What CPU this is, and which integer and half-precision instructions it has."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_BOARD = Path("/proc/device-tree/model")
"""What Arm boards call themselves; their /proc/cpuinfo names no model."""

_INT8_EXTENSIONS = (
    "amx_int8", "avx512_vnni", "avx_vnni_int8", "avx_vnni", "i8mm", "asimddp", "avx512bw", "avx2", "asimd",
)  # fmt: skip
"""Best first, by their names in /proc/cpuinfo (x86 flags, Arm features). The last three have no int8 dot product."""

_BF16_EXTENSIONS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_F16_EXTENSIONS = frozenset({"amx_fp16", "asimdhp"})


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """The processor.

    Attributes:
        model: marketing name, or the architecture where the system does not tell.
        flags: instruction-set extensions as /proc/cpuinfo names them; empty where unknown.
    """

    model: str
    flags: frozenset[str]

    @property
    def int8_extension(self) -> str:
        """The best extension that speeds int8 up, or "" where unknown."""
        return next((name for name in _INT8_EXTENSIONS if name in self.flags), "")

    @property
    def has_bf16(self) -> bool:
        """Whether bfloat16 multiplications run natively."""
        return bool(self.flags & _BF16_EXTENSIONS)

    @property
    def has_f16(self) -> bool:
        """Whether float16 multiplications run natively."""
        return bool(self.flags & _F16_EXTENSIONS)


def this_cpu(cpuinfo: Path = _CPUINFO) -> Cpu:
    """Reads the processor of this machine; knows only the name outside Linux. Never raises."""
    try:
        return parse_cpuinfo(cpuinfo.read_text())
    except OSError:
        return Cpu(model=_platform_name(), flags=frozenset())


def parse_cpuinfo(text: str) -> Cpu:
    """The first processor of the text of a /proc/cpuinfo."""
    fields = {key.strip().lower(): value.strip() for key, value in re.findall(r"^([^:\n]+):(.*)$", text, re.MULTILINE)}
    flags = fields.get("flags") or fields.get("features") or ""
    model = fields.get("model name") or fields.get("hardware") or _platform_name()
    return Cpu(model=model, flags=frozenset(flags.split()))


def _platform_name() -> str:
    try:
        return _BOARD.read_text().strip("\0\n ")
    except OSError:
        return platform.processor() or platform.machine() or "unknown CPU"
