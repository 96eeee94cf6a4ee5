"""Validation over adb, with a stand-in for adb that maps a device to a folder of this machine: never with a phone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from bundles import convert_digits
from digits import DigitsModel

from zsq_export.bundle.samples import SampleLimit
from zsq_export.errors import RemoteError, TargetUnavailableError
from zsq_export.remote.address import parse_address
from zsq_export.remote.measure import measure_remotely
from zsq_export.validation.validate import ValidationOptions
from zsq_export.verification import Verification, validate_recorded

OPTIONS = ValidationOptions(latency=None, threads=1)
ADB = """#!/bin/sh
[ "$1" = -s ] || exit 2
serial=$2; verb=$3; shift 3
case $serial in
  absent) echo "adb: device 'absent' not found" >&2; exit 1;;
  locked) echo "adb: device unauthorized." >&2; exit 1;;
esac
case $verb in
  shell) [ "$1" = -T ] && shift; exec sh -c "$*";;
  push|pull) cp "$1" "$2" && exit 0
    echo "adb: error: failed to copy '$1' to '$2': remote write failed: No space left on device" >&2; exit 1;;
esac
"""


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the device."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "adb"
    program.write_text(ADB)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "device").mkdir()
    return tmp_path / "device"


@pytest.fixture(scope="module")
def verification(digits_model: DigitsModel, tmp_path_factory: pytest.TempPathFactory) -> Verification:
    folder = tmp_path_factory.mktemp("artifact")
    return Verification(folder=convert_digits(digits_model, folder, "onnxruntime"), options=OPTIONS)


def url(serial: str, folder: Path, **options: object) -> str:
    return f"adb://{serial}?" + urlencode({"python": sys.executable, "folder": folder, **options})


def test_results_come_back_and_nothing_stays(verification: Verification, adb: Path) -> None:
    recorded = measure_remotely(verification, parse_address(url("R58", adb)), limit=SampleLimit(most=4))
    report = validate_recorded(verification, recorded)
    assert report.environment.place == "adb://R58" and report.inputs.samples == 4
    assert list(adb.iterdir()) == []


@pytest.mark.parametrize(
    ("serial", "message"), [("absent", "adb://absent is not connected"), ("locked", "does not trust this computer")]
)
def test_devices_that_are_not_there(verification: Verification, adb: Path, serial: str, message: str) -> None:
    with pytest.raises(TargetUnavailableError, match=message):
        measure_remotely(verification, parse_address(url(serial, adb)))


def test_a_run_that_takes_too_long_is_ended(verification: Verification, adb: Path, tmp_path: Path) -> None:
    python = tmp_path / "slow"
    python.write_text(f'#!/bin/sh\n[ "$1" = run.py ] && exec sleep 60\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with pytest.raises(RemoteError, match="took more than 10 seconds"):
        measure_remotely(
            verification, parse_address(url("R58", adb, python=python, timeout=10)), limit=SampleLimit(most=2)
        )
    assert list(adb.iterdir()) == []


def test_a_copy_that_fails_for_want_of_space(verification: Verification, adb: Path) -> None:
    program = adb.parent / "bin" / "adb"
    program.write_text(ADB.replace('cp "$1" "$2"', "false"))
    with pytest.raises(RemoteError, match="the disk of adb://R58 is full"):
        measure_remotely(verification, parse_address(url("R58", adb)), limit=SampleLimit(most=2))
    assert list(adb.iterdir()) == []


def test_no_adb_at_all(verification: Verification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetUnavailableError, match="the program adb cannot be started here"):
        measure_remotely(verification, parse_address("adb://R58"))
