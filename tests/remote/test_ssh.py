"""Validation on a device over SSH, against a real OpenSSH server on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from bundles import convert_digits, save_pictures
from digits import DigitsModel
from ssh_server import Server, running_server

from zsq_export.bundle.build import build_bundle
from zsq_export.bundle.samples import SampleLimit
from zsq_export.cli import main
from zsq_export.errors import RemoteError, TargetUnavailableError, ZsqError
from zsq_export.remote.address import parse_address
from zsq_export.remote.measure import measure_remotely
from zsq_export.validation.validate import ValidationOptions
from zsq_export.verification import Verification, validate, validate_recorded

OPTIONS = ValidationOptions(latency=None, threads=1)
ONNXRUNTIME_SESSION = ".ses"
"""A file that ONNX Runtime itself leaves in TMPDIR."""
ELF_AARCH64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00\x01\x00\x00\x00" + bytes(40)
ELF_ARM32 = b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x03\x00\x28\x00\x01\x00\x00\x00" + bytes(40)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(scope="module")
def verification(digits_model: DigitsModel, tmp_path_factory: pytest.TempPathFactory) -> Verification:
    folder = tmp_path_factory.mktemp("artifact")
    artifact = convert_digits(digits_model, folder, "onnxruntime")
    return Verification(folder=artifact, data=save_pictures(digits_model, folder / "data.npz", 20), options=OPTIONS)


@pytest.fixture(scope="module")
def bundle(verification: Verification, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once for all runs that fail."""
    path = tmp_path_factory.mktemp("bundle") / "bundle.zip"
    build_bundle(verification, path, limit=SampleLimit(most=5))
    return path


@dataclass(frozen=True, kw_only=True)
class Device:
    """This machine as if it were another: what may be left behind is left in two folders of the test."""

    far: Path
    near: Path
    programs: Path
    config: Path
    bundle: Path

    def url(self, **options: object) -> str:
        values = {"config": self.config, "python": sys.executable, "folder": self.far} | options
        return "ssh://device?" + urlencode({name.replace("_", "-"): value for name, value in values.items()})

    def failure(self, verification: Verification, **options: object) -> ZsqError:
        """The error of a run that fails; nothing is left on either side."""

        def copied(_verification: Verification, destination: Path, **_options: object) -> None:
            shutil.copyfile(self.bundle, destination)

        with patch("zsq_export.remote.measure.build_bundle", copied), pytest.raises(ZsqError) as caught:
            measure_remotely(verification, parse_address(self.url(**options)))
        assert "\n" not in str(caught.value)
        self.expect_clean()
        return caught.value

    def program(self, name: str, text: str) -> Path:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def slow_python(self) -> Path:
        """Takes a minute over the bundle, and leaves a mark when it begins."""
        return self.program(
            "slow", f'[ "$1" = run.py ] && touch {self.programs}/began && exec sleep 60\nexec {sys.executable} "$@"'
        )

    def when_it_runs(self, action: Callable[[], None]) -> threading.Thread:
        def wait() -> None:
            end = time.monotonic() + 60
            while not (self.programs / "began").exists() and time.monotonic() < end:
                time.sleep(0.05)
            action()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    def expect_clean(self) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end and (list(self.far.iterdir()) or self._running()):
            time.sleep(0.1)
        near = [entry for entry in self.near.iterdir() if entry.name != ONNXRUNTIME_SESSION]
        assert list(self.far.iterdir()) == [] and near == [] and self._running() == []

    def _running(self) -> list[str]:
        """Command lines of processes that have to do with this device."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                ours = str(self.far) in line or (entry / "cwd").readlink().is_relative_to(self.far)
                if entry.name.isdecimal() and ours and int(entry.name) != os.getpid() and "pytest" not in line:
                    found.append(line)
        return found


@pytest.fixture
def device(server: Server, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    folders = [tmp_path / name for name in ("far", "near", "programs")]
    for folder in folders:
        folder.mkdir()
    far, near, programs = folders
    monkeypatch.setattr("tempfile.tempdir", str(near))
    return Device(far=far, near=near, programs=programs, config=server.config, bundle=bundle)


def test_the_report_of_a_remote_device_is_that_of_a_local_run(verification: Verification, device: Device) -> None:
    recorded = measure_remotely(verification, parse_address(device.url()), limit=SampleLimit(most=20))
    device.expect_clean()
    found, local = validate_recorded(verification, recorded), validate(verification)
    assert (found.outputs, found.accuracy, found.lowering) == (local.outputs, local.accuracy, local.lowering)
    assert found.environment.place == "ssh://device" and found.environment.runtime == local.environment.runtime


def test_the_command_line_measures_and_judges_remotely(
    verification: Verification, device: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    arguments = ["validate", str(verification.folder), "--no-latency", "--device", device.url(), "--samples", "4"]
    try:
        assert main([*arguments, "--min-agreement", "0"]) == 0
        assert main([*arguments, "--min-agreement", "0", "--data", "/nowhere.npz"]) == 1
        capsys.readouterr()
        assert main([*arguments[:-4], "--device", device.url(python="/nonexistent")]) == 4
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert capsys.readouterr().err == (
        "error: ssh://device has no Python at /nonexistent (name one with ?python=PATH)\n"
    )
    device.expect_clean()


def test_refused(verification: Verification, device: Device, server: Server) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        config = server.client("refused", port=closed.getsockname()[1])
    error = device.failure(verification, config=config)
    assert isinstance(error, TargetUnavailableError) and "refuses the connection" in str(error)


def test_an_unknown_host_key_is_not_trusted(verification: Verification, device: Device, server: Server) -> None:
    error = device.failure(verification, config=server.client("unknown", known="unknown_hosts"))
    assert isinstance(error, TargetUnavailableError) and "host key that is not known here" in str(error)
    assert (server.folder / "unknown_hosts").read_text() == ""


def test_another_host_key_than_before_is_not_trusted(
    verification: Verification, device: Device, server: Server
) -> None:
    key = (server.folder / "stranger.pub").read_text().split()[1]
    (server.folder / "changed_hosts").write_text(f"[127.0.0.1]:{server.port} ssh-ed25519 {key}\n")
    error = device.failure(verification, config=server.client("changed", known="changed_hosts"))
    assert isinstance(error, TargetUnavailableError) and "another host key than before" in str(error)


def test_a_key_that_is_not_accepted(verification: Verification, device: Device, server: Server) -> None:
    error = device.failure(verification, config=server.client("stranger", key="stranger"))
    assert isinstance(error, TargetUnavailableError) and "does not accept the key" in str(error)


def test_a_host_without_a_name(verification: Verification) -> None:
    with pytest.raises(TargetUnavailableError, match="cannot be resolved"):
        measure_remotely(verification, parse_address("ssh://no-such-host.invalid"))


def test_a_host_that_does_not_answer(verification: Verification, device: Device, server: Server) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = server.client("silent", port=silent.getsockname()[1])
        error = device.failure(verification, config=config, connect_timeout=1)
    assert isinstance(error, TargetUnavailableError) and "does not answer" in str(error)


def test_dropped_in_the_middle(verification: Verification, device: Device, server: Server) -> None:
    thread = device.when_it_runs(server.end_sessions)
    error = device.failure(verification, python=device.slow_python())
    thread.join()
    assert isinstance(error, TargetUnavailableError) and "was lost" in str(error)


def test_a_run_that_takes_too_long(verification: Verification, device: Device) -> None:
    error = device.failure(verification, python=device.slow_python(), timeout=10)
    assert isinstance(error, RemoteError) and error.exit_code == 1
    assert "running slow on ssh://device took more than 10 seconds" in str(error)


def test_no_python(verification: Verification, device: Device) -> None:
    error = device.failure(verification, python="/nonexistent")
    assert isinstance(error, TargetUnavailableError) and "has no Python at /nonexistent" in str(error)


def test_a_python_that_is_too_old(verification: Verification, device: Device) -> None:
    error = device.failure(verification, python=device.program("old", "echo zsq-python 3 6 armv7l"))
    assert isinstance(error, TargetUnavailableError) and "has Python 3.6, the runner needs 3.10" in str(error)


def test_a_python_of_another_architecture(verification: Verification, device: Device) -> None:
    python = device.programs / "python-aarch64"
    python.write_bytes(ELF_AARCH64)
    python.chmod(0o755)
    error = device.failure(verification, python=python)
    assert isinstance(error, TargetUnavailableError) and "another architecture" in str(error)


@pytest.mark.parametrize("content", [ELF_AARCH64, ELF_ARM32], ids=["64 bits", "32 bits"])
def test_a_runtime_of_another_architecture(verification: Verification, device: Device, content: bytes) -> None:
    (device.programs / "onnxruntime.so").write_bytes(content)
    python = device.program("python", f'PYTHONPATH={device.programs} exec {sys.executable} "$@"')
    error = device.failure(verification, python=python)
    assert isinstance(error, TargetUnavailableError) and "was built for another machine" in str(error)


def test_a_runtime_that_is_missing(verification: Verification, device: Device) -> None:
    (device.programs / "onnxruntime.py").write_text("raise ModuleNotFoundError('no onnxruntime')\n")
    python = device.program("python", f'PYTHONPATH={device.programs} exec {sys.executable} "$@"')
    error = device.failure(verification, python=python)
    assert isinstance(error, TargetUnavailableError) and "runtime of onnxruntime is missing" in str(error)


def test_a_python_without_numpy(verification: Verification, device: Device) -> None:
    error = device.failure(verification, python=device.program("bare", f'exec {sys.executable} -S "$@"'))
    assert isinstance(error, TargetUnavailableError) and "has no NumPy" in str(error)


def test_a_run_that_the_system_kills(verification: Verification, device: Device) -> None:
    python = device.program("hungry", f'[ "$1" = run.py ] && kill -9 $$\nexec {sys.executable} "$@"')
    error = device.failure(verification, python=python)
    assert isinstance(error, RemoteError) and "killed there" in str(error)


def test_a_file_that_may_not_grow(
    verification: Verification, device: Device, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_server(
        tmp_path_factory.mktemp("limited"), 'ForceCommand ulimit -f 20; eval "$SSH_ORIGINAL_COMMAND"'
    ) as server:
        error = device.failure(verification, config=server.config)
    assert isinstance(error, RemoteError) and error.exit_code == 1 and "the disk of ssh://device is full" in str(error)


@pytest.mark.parametrize("share", [0.5, 1.5], ids=["while copying", "while unpacking"])
def test_a_full_disk(verification: Verification, device: Device, share: float) -> None:
    size = f"size={round(share * device.bundle.stat().st_size)}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", device.far], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small disk takes root")
    try:
        error = device.failure(verification)
    finally:
        subprocess.run(["umount", device.far], check=True)
    assert isinstance(error, RemoteError) and error.exit_code == 1 and "the disk of ssh://device is full" in str(error)


def test_a_folder_that_cannot_be_made(verification: Verification, device: Device) -> None:
    error = device.failure(verification, folder=device.far / "missing")
    assert isinstance(error, RemoteError) and "cannot make a folder" in str(error)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_stopping_leaves_nothing_on_the_device(
    verification: Verification, device: Device, signum: signal.Signals, code: int
) -> None:
    url = device.url(python=device.slow_python())
    command = [sys.executable, "-m", "zsq_export", "validate", verification.folder, "--no-latency", "--device", url]
    environment = os.environ | {"TMPDIR": str(device.near), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    thread = device.when_it_runs(lambda: process.send_signal(signum))
    error = process.communicate(timeout=120)[1]
    thread.join()
    assert process.returncode == code
    if signum is signal.SIGINT:
        assert error == "error: stopped by SIGINT\n"
    else:
        for entry in device.near.iterdir():  # nobody is left to remove what is here
            subprocess.run(["rm", "-rf", entry], check=True)
    device.expect_clean()


def test_other_samples_and_threads_reach_the_device(verification: Verification, device: Device) -> None:
    options = replace(OPTIONS, threads=2)
    recorded = measure_remotely(
        replace(verification, options=options), parse_address(device.url()), limit=SampleLimit(most=3)
    )
    assert (recorded.results.samples, recorded.results.threads) == (3, 2)
