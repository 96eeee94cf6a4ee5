"""Runs a bundle on a device: there, measured, back, and nothing left."""

from __future__ import annotations

import tempfile
from pathlib import Path

from zsq_export.bundle.build import build_bundle
from zsq_export.bundle.results import read_results
from zsq_export.bundle.samples import SampleLimit
from zsq_export.errors import RemoteError, TargetUnavailableError, ZsqError
from zsq_export.remote.adb import AdbTransport
from zsq_export.remote.address import Address
from zsq_export.remote.processes import Finished
from zsq_export.remote.scripts import last_line
from zsq_export.remote.ssh import SshTransport
from zsq_export.remote.transport import ShellTransport, Transport
from zsq_export.verification import Recorded, Verification

_BUNDLE, _RESULTS = "bundle.zip", "results.json"
_TRANSPORTS: dict[str, type[ShellTransport]] = {"ssh": SshTransport, "adb": AdbTransport}
_MARK = "zsq-python"
_OLDEST = (3, 10)
_CHECK = f"import sys, platform; print('{_MARK}', *sys.version_info[:2], platform.machine())"
_WHEELS = frozenset({"x86_64", "aarch64", "arm64", "AMD64"})
"""Machines that the package index has a runtime of every target for."""


def measure_remotely(verification: Verification, address: Address, *, limit: SampleLimit | None = None) -> Recorded:
    """Bundles an artifact, runs it on a device, and brings the results back.

    The device is tried first, so that one that is missing costs no time.

    Args:
        verification: artifact, float model, data, and what to measure.
        address: of the device.
        limit: how many samples at most.

    Raises:
        TargetUnavailableError: the device cannot be reached or is lost; it has no Python, no runtime, or ones for
            another machine.
        RemoteError: its disk is full, it takes too long, or the run fails there.
        ZsqError: the bundle cannot be made, see :func:`zsq_export.bundle.build.build_bundle`.
    """
    progress = verification.options.progress
    transport: Transport = _TRANSPORTS[address.scheme](address)
    with tempfile.TemporaryDirectory(prefix="zsq-device-") as scratch:
        bundle, results = Path(scratch) / _BUNDLE, Path(scratch) / _RESULTS
        progress(f"connecting to {address.name}", None)
        with transport:
            _check_python(transport, address)
            build_bundle(verification, bundle, limit=limit)
            progress(f"copying {bundle.stat().st_size / 1e6:.1f} MB to {address.name}", None)
            transport.put(bundle, _BUNDLE)
            _require(transport.run([address.python, "-m", "zipfile", "-e", _BUNDLE, "."]), address, transport)
            progress(f"measuring on {address.name}", None)
            run = [address.python, "run.py", "-q", "-o", _RESULTS]
            _require(transport.run(run), address, transport)
            transport.get(_RESULTS, results)
        return Recorded(results=read_results(results), place=address.name)


def _check_python(transport: Transport, address: Address) -> None:
    finished = transport.run([address.python, "-c", _CHECK])
    words = next((line.split() for line in finished.out.splitlines() if line.startswith(_MARK)), [])
    if len(words) < 3:
        raise _no_python(finished, address, transport)
    version = (int(words[1]), int(words[2]))
    if version < _OLDEST:
        raise TargetUnavailableError(
            f"{address.name} has Python {version[0]}.{version[1]}, the runner needs {_OLDEST[0]}.{_OLDEST[1]}",
            hint="name a later one with ?python=PATH",
        )


def _no_python(finished: Finished, address: Address, transport: Transport) -> ZsqError:
    missing = any(words in finished.err for words in ("not found", "No such file", "Permission denied"))
    if missing and "xec format" not in finished.err:
        return TargetUnavailableError(
            f"{address.name} has no Python at {address.python}", hint="name one with ?python=PATH"
        )
    return TargetUnavailableError(
        f"{address.python} does not run on {address.name}, a {transport.machine}: {last_line(finished)}",
        hint="it is no Python, or one for another architecture; name one with ?python=PATH",
    )


def _require(finished: Finished, address: Address, transport: Transport) -> None:
    """Passes on what the runner said.

    Raises:
        TargetUnavailableError: the runtime is missing there.
        RemoteError: anything else.
    """
    if finished.code == 0:
        return
    message = f"{address.name}: {last_line(finished)}"
    if finished.code == TargetUnavailableError.exit_code:
        wheels = "" if transport.machine in _WHEELS else f"; the package index may have none for a {transport.machine}"
        raise TargetUnavailableError(message, hint=f"install it for {address.python} there{wheels}")
    raise RemoteError(message)
