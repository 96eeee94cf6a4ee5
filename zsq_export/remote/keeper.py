"""The connection that a device's temporary folder lives by: it stays open as long as the folder is needed."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

from zsq_export.errors import RemoteError, TargetUnavailableError, ZsqError
from zsq_export.remote.processes import Finished, started
from zsq_export.remote.scripts import FAILED, FOLDER, MACHINE, REMOVED, last_line

_ANSWER_SECONDS = 20.0
"""Beyond the time-out of the connection, for a login that takes its time."""
_PIECE = 4096


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the device answers: its temporary folder, and its architecture as ``uname -m`` tells."""

    folder: str
    machine: str


class Keeper:
    """Runs :data:`~zsq_export.remote.scripts.KEEPER` on the device.

    Args:
        name: of the device, for messages.
        connection_error: why it could not be reached, given how the connection ended; None: it was reached.
    """

    def __init__(self, name: str, connection_error: Callable[[Finished], ZsqError | None]) -> None:
        self._name = name
        self._connection_error = connection_error
        self._stack = ExitStack()
        self._errors: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, argv: Sequence[str], timeout: float) -> Place:
        """Connects and waits for the folder.

        Args:
            argv: the program that runs the script on the device.
            timeout: of the connection, seconds.

        Raises:
            TargetUnavailableError: the device cannot be reached, does not let us in, or does not answer.
            RemoteError: it cannot make a folder.
        """
        self._errors = self._stack.enter_context(TemporaryFile())  # noqa: SIM115  # the stack closes it
        self._process = self._stack.enter_context(
            started(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
        )
        found = {MACHINE: "", FOLDER: ""}
        for line in self._answers(self._process, time.monotonic() + timeout + _ANSWER_SECONDS):
            if line.startswith(FAILED):
                raise RemoteError(f"{self._name} cannot make a folder: {line.removeprefix(FAILED)}",
                                  hint="give another place with ?folder=")  # fmt: skip
            found |= {key: line.removeprefix(key) for key in found if line.startswith(key)}
        return Place(folder=found[FOLDER], machine=found[MACHINE])

    def close(self, seconds: float) -> bool:
        """Lets the device remove the folder; whether it said in time that it did."""
        process, self._process = self._process, None
        try:
            return process is not None and _removed(process, seconds)
        finally:
            self._stack.close()

    def _answers(self, process: subprocess.Popen[bytes], end: float) -> list[str]:
        """Lines up to the one that names the folder; what a login prints before is among them."""
        assert process.stdout is not None
        lines = b""
        while not any(line.startswith((FOLDER, FAILED)) for line in _complete_lines(lines)):
            ready = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]
            if not ready:
                raise TargetUnavailableError(f"{self._name} does not answer", hint="?connect-timeout=SECONDS")
            piece = os.read(process.stdout.fileno(), _PIECE)
            if not piece:
                raise self._refusal(process)
            lines += piece
        return _complete_lines(lines)

    def _refusal(self, process: subprocess.Popen[bytes]) -> ZsqError:
        assert self._errors is not None
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ANSWER_SECONDS)
        self._errors.seek(0)
        finished = Finished(code=process.poll() or 0, out="", err=self._errors.read().decode(errors="replace"))
        return self._connection_error(finished) or TargetUnavailableError(
            f"{self._name} has no POSIX shell: {last_line(finished)}"
        )


def _removed(process: subprocess.Popen[bytes], seconds: float) -> bool:
    assert process.stdin is not None and process.stdout is not None
    end, answer = time.monotonic() + seconds, b""
    with suppress(OSError):
        process.stdin.close()
    while select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(process.stdout.fileno(), _PIECE)
        if not piece:
            break
        answer += piece
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return REMOVED.encode() in answer


def _complete_lines(text: bytes) -> list[str]:
    return text.decode(errors="replace").split("\n")[:-1]
