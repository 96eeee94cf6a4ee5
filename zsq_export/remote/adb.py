"""Devices over adb: Android phones and boards. Tested with a stand-in for adb, never with a phone."""

from __future__ import annotations

from pathlib import Path

from zsq_export.errors import TargetUnavailableError, ZsqError
from zsq_export.remote.processes import Finished
from zsq_export.remote.transport import ShellTransport

_REASONS = (
    ("unauthorized", "does not trust this computer", "allow USB debugging on its screen"),
    ("offline", "is offline", "plug it in again"),
    ("not found", "is not connected", "`adb devices` lists what is"),
    ("no devices", "is not connected", "`adb devices` lists what is"),
    ("cannot connect to daemon", "cannot be reached: adb's server does not start", "run `adb start-server`"),
    ("closed", "was lost", "plug it in again"),
)
"""What adb says, what that means, what to do."""


class AdbTransport(ShellTransport):
    """A device with a debug bridge, and a Python with NumPy and the runtime on it."""

    default_folder = "/data/local/tmp"

    def command(self, script: str, *, first: bool = False) -> list[str]:
        """``adb shell script`` without a terminal."""
        return ["adb", "-s", self.address.host, "shell", "-T", script]

    def put(self, file: Path, name: str) -> None:
        """By ``adb push``."""
        self._copy("push", str(file), f"{self._folder}/{name}", f"copying {name} to")

    def get(self, name: str, file: Path) -> None:
        """By ``adb pull``."""
        self._copy("pull", f"{self._folder}/{name}", str(file), f"copying {name} from")

    def connection_error(self, finished: Finished) -> ZsqError | None:
        """Of adb itself: its own messages begin with "adb: " or "error: "."""
        said = [line for line in finished.err.splitlines() if line.startswith(("adb: ", "error: "))]
        if finished.code == 0 or not said:
            return None
        for word, reason, hint in _REASONS:
            if any(word in line for line in said):
                return TargetUnavailableError(f"{self.address.name} {reason}", hint=hint)
        return None

    def _copy(self, verb: str, source: str, target: str, what: str) -> None:
        finished = self._ended(["adb", "-s", self.address.host, verb, source, target], what)
        if finished.code:
            raise self.failure(finished, what)
