"""What /proc/cpuinfo says."""

from __future__ import annotations

from pathlib import Path

import pytest

from zsq_export.device.cpu import parse_cpuinfo, this_cpu


@pytest.mark.parametrize(
    ("flags", "int8", "bf16"),
    [
        ("fpu avx2 avx512bw avx512_vnni avx512_bf16", "avx512_vnni", True),
        ("fpu avx2 avx512_vnni amx_int8 amx_bf16", "amx_int8", True),
        ("fpu avx2 avx_vnni", "avx_vnni", False),
        ("fpu avx2", "avx2", False),
        ("fpu sse2", "", False),
    ],
)
def test_x86(flags: str, int8: str, bf16: bool) -> None:
    cpu = parse_cpuinfo(f"processor\t: 0\nmodel name\t: A CPU: fast\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    assert (cpu.model, cpu.int8_extension, cpu.has_bf16) == ("A CPU: fast", int8, bf16)


def test_arm() -> None:
    cpu = parse_cpuinfo("processor: 0\nFeatures: fp asimd asimddp i8mm bf16\nHardware: Board\n")
    assert (cpu.model, cpu.int8_extension, cpu.has_bf16) == ("Board", "i8mm", True)


def test_a_system_without_cpuinfo(tmp_path: Path) -> None:
    cpu = this_cpu(tmp_path / "none")
    assert cpu.model and cpu.int8_extension == ""
