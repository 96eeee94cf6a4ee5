"""What a device tells of itself, read from made-up folders of the system."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import zsq_export.device
from zsq_export.device.energy import find_domains, measure_energy
from zsq_export.device.machine import Reading, describe, is_throttled, read_settings, read_state

RUNNER = sorted(Path(zsq_export.device.__file__).parent.glob("*.py"))


def system(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_governor_clocks_temperatures_and_throttling_are_read(tmp_path: Path) -> None:
    cpu = "devices/system/cpu/cpu"
    root = system(
        tmp_path,
        {
            f"{cpu}0/cpufreq/scaling_governor": "schedutil\n",
            f"{cpu}1/cpufreq/scaling_governor": "schedutil\n",
            f"{cpu}0/cpufreq/scaling_cur_freq": "1500000\n",
            f"{cpu}1/cpufreq/scaling_cur_freq": "2400000\n",
            f"{cpu}0/cpufreq/scaling_max_freq": "2400000\n",
            f"{cpu}0/thermal_throttle/core_throttle_count": "3\n",
            f"{cpu}1/thermal_throttle/core_throttle_count": "4\n",
            "class/thermal/thermal_zone0/temp": "61500\n",
            "class/thermal/cooling_device0/type": "fan\n",
            "class/thermal/cooling_device0/cur_state": "2\n",
        },
    )
    found = {entry.name: entry.value for entry in [*read_settings(root), *read_state("after", root)]}
    assert found["governor"] == "schedutil" and found["highest clock"] == "2400 MHz"
    assert found["clock after"] == "1500 to 2400 MHz" and found["highest temperature after"] == "61.5 °C"
    assert found["thermal throttle events after"] == "7" and found["cooling in use after"] == "fan 2"


def test_a_system_that_tells_nothing_gives_nothing(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == []
    assert [entry.name for entry in read_state("before", tmp_path)] in ([], ["load of one minute before"])


@pytest.mark.parametrize(
    ("values", "throttled"),
    [
        ({}, False),
        ({"thermal throttle events before": "3", "thermal throttle events after": "3"}, False),
        ({"thermal throttle events before": "3", "thermal throttle events after": "5"}, True),
        ({"throttled (Raspberry Pi flags) after": "0x0"}, False),
        ({"throttled (Raspberry Pi flags) after": "50005"}, True),
    ],
)
def test_throttling_is_seen(values: Mapping[str, str], throttled: bool) -> None:
    assert is_throttled([Reading(name=name, value=value) for name, value in values.items()]) is throttled


def test_this_machine_describes_itself() -> None:
    info = describe("a runtime 1.0", [])
    assert info.cpu and info.cores >= 1 and info.runtime == "a runtime 1.0" and "." in info.python


class Counter:
    """A processor that draws watts while a clock runs, behind a counter that starts again at its limit."""

    def __init__(self, root: Path, limit: int) -> None:
        self.now, self.joules, self.limit = 0.0, 0.0, limit
        self.folder = root / "intel-rapl:0"
        files = {"energy_uj": "0", "max_energy_range_uj": str(limit)}
        system(root, {f"intel-rapl:{name}/{file}": text for name in ("0", "0:0") for file, text in files.items()})

    def run(self, seconds: float, watts: float) -> None:
        self.now += seconds
        self.joules += seconds * watts
        (self.folder / "energy_uj").write_text(str(round(self.joules * 1e6) % self.limit))


def test_energy_per_inference_survives_a_counter_that_starts_again(tmp_path: Path) -> None:
    counter = Counter(tmp_path, limit=10_000_000)
    calls = [lambda: counter.run(0.010, 20), lambda: counter.run(0.005, 10)]
    energy = measure_energy(calls, root=tmp_path, clock=lambda: counter.now)
    assert energy.millijoules == pytest.approx((200, 50), rel=1e-3)
    assert energy.counter == "RAPL intel-rapl:0"


def test_a_platform_without_a_counter_says_so(tmp_path: Path) -> None:
    energy = measure_energy([lambda: None], root=tmp_path)
    assert energy.millijoules == () and "no energy counter" in energy.note
    system(tmp_path, {"intel-rapl:0/max_energy_range_uj": "unreadable"})
    assert find_domains(tmp_path) == () and "may not read it" in measure_energy([], root=tmp_path).note


@pytest.mark.parametrize("file", RUNNER, ids=lambda file: file.name)
def test_the_runner_needs_python_3_10_and_imports_nothing_of_the_package(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 10))
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module or ""]
        for module in modules:
            known = {"numpy", "onnxruntime", "openvino", "ai_edge_litert"}
            assert module.partition(".")[0] in known | sys.stdlib_module_names, module
