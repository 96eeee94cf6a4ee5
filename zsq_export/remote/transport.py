"""How a device is used: the contract, and what SSH and adb have in common, a POSIX shell at the other end."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import time
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Protocol, Self

from zsq_export.errors import RemoteError, TargetUnavailableError, ZsqError
from zsq_export.remote.address import Address
from zsq_export.remote.processes import Finished, run_process, started

_FOLDER, _MACHINE, _FAILED, _REMOVED = "zsq-folder ", "zsq-machine ", "zsq-failed ", "zsq-removed"
_PID = ".pid"
_REMOVE_SECONDS = 20.0
_ANSWER_SECONDS = 20.0
"""Beyond the time-out of the connection, for a login that takes its time."""

_KEEPER = f"""
umask 077
trap '' HUP PIPE TERM
folder=$(mktemp -d "$1/zsq-XXXXXXXXXX" 2>&1) || {{ echo "{_FAILED}$folder"; exit 1; }}
echo "{_MACHINE}$(uname -m)"
echo "{_FOLDER}$folder"
cat > /dev/null
if read -r group child < "$folder/{_PID}"; then kill -9 "-$group" || kill -9 "$group" "$child"; fi 2> /dev/null
for turn in 1 2 3; do rm -rf "$folder"; [ -e "$folder" ] || break; sleep 1; done
[ -e "$folder" ] || echo "{_REMOVED}"
"""
"""Makes the temporary folder and waits for the end of its input: this program closes it when it is done, the system
does when the connection is lost or this program is killed. Then it ends what still runs and removes the folder."""

_RUN = f"""
cd "$1" || exit 1
shift
TMPDIR=$PWD
export TMPDIR
"$@" < /dev/null &
echo "$$ $!" > {_PID}
wait "$!"
code=$?
rm -f {_PID}
exit "$code"
"""
"""The shell stays, because ssh does not tell a program that the system killed from a connection that was lost."""

_FULL = ("No space left", "Disk quota", "File too large", "File size limit")
_KILLED = 128 + 9
_FULL_CODES = (128 + 25, 25)
"""A process that the system ended because its file grew beyond the limit (SIGXFSZ)."""


class Transport(Protocol):
    """A device with a temporary folder for as long as the context lasts."""

    machine: str
    """Its architecture, as ``uname -m`` tells."""

    def __enter__(self) -> Self:
        """Connects and makes the folder.

        Raises:
            TargetUnavailableError: the device cannot be reached or does not let us in.
            RemoteError: it cannot make a folder.
        """
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes the folder, as :meth:`remove` does."""
        ...

    def put(self, file: Path, name: str) -> None:
        """Copies a file into the folder."""
        ...

    def run(self, argv: Sequence[str]) -> Finished:
        """Runs a program in the folder and waits for its end."""
        ...

    def get(self, name: str, file: Path) -> None:
        """Copies a file out of the folder."""
        ...

    def remove(self) -> None:
        """Ends what still runs there and removes the folder; never raises."""
        ...


class ShellTransport(Transport):
    """A device with a POSIX shell.

    Args:
        address: of the device.
    """

    default_folder = "/tmp"

    def __init__(self, address: Address) -> None:
        self.address = address
        self.machine = ""
        self._stack = ExitStack()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._folder = ""

    @abstractmethod
    def command(self, script: str, *, first: bool = False) -> list[str]:
        """The program that runs a shell command line on the device; ``first``: it is the one that stays open."""

    @abstractmethod
    def connection_error(self, finished: Finished) -> ZsqError | None:
        """Why the device could not be reached or was lost; None: it was reached, and the command itself ended so."""

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def put(self, file: Path, name: str) -> None:
        """Copies a file into the folder.

        Raises:
            TargetUnavailableError: the connection is lost.
            RemoteError: it cannot be written, or takes too long.
        """
        self._checked(f'cat > "$1"/{shlex.quote(name)} || exit $?', f"copying {name} to", stdin=file)

    def get(self, name: str, file: Path) -> None:
        """Copies a file out of the folder.

        Raises:
            TargetUnavailableError: the connection is lost.
            RemoteError: it cannot be read, or takes too long.
        """
        self._checked(f'cat "$1"/{shlex.quote(name)}', f"copying {name} from", stdout=file)

    def run(self, argv: Sequence[str]) -> Finished:
        """Runs a program in the folder.

        Raises:
            TargetUnavailableError: the connection is lost.
            RemoteError: it takes too long, or the disk is full.
        """
        return self._finished(_shell(_RUN, self._folder, *argv), f"running {Path(argv[0]).name} on")

    def remove(self) -> None:
        """Closes the connection that the folder lives by; where that was lost, tries another one."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None and not self._close(keeper) and self._folder:
            with suppress(ZsqError, TimeoutError):
                seconds = self.address.connect_timeout + _REMOVE_SECONDS
                run_process(self.command(_shell('rm -rf "$1"', self._folder)), timeout=seconds)
        self._folder = ""
        self._stack.close()

    def failure(self, finished: Finished, what: str) -> ZsqError:
        """What went wrong, in one line."""
        lost = self.connection_error(finished)
        if lost is not None:
            return lost
        if _is_full(finished):
            return RemoteError(
                f"the disk of {self.address.name} is full while {what} it",
                hint=f"free some space in {self._parent}, or give another place with ?folder=",
            )
        return RemoteError(f"{what} {self.address.name} failed: {last_line(finished)}")

    @property
    def _parent(self) -> str:
        return self.address.folder or self.default_folder

    def _open(self) -> None:
        self._errors = self._stack.enter_context(TemporaryFile())  # noqa: SIM115  # the stack closes it
        self._keeper = self._stack.enter_context(
            started(
                self.command(_shell(_KEEPER, self._parent), first=True),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        )
        answers = self._answers(self._keeper)
        for line in answers:
            if line.startswith(_FAILED):
                raise RemoteError(f"{self.address.name} cannot make a folder: {line.removeprefix(_FAILED)}",
                                  hint="give another place with ?folder=")  # fmt: skip
            self.machine = line.removeprefix(_MACHINE) if line.startswith(_MACHINE) else self.machine
            if line.startswith(_FOLDER):
                self._folder = line.removeprefix(_FOLDER)
                return

    def _answers(self, keeper: subprocess.Popen[bytes]) -> list[str]:
        """Lines up to the one that names the folder; what a login prints before is among them."""
        assert keeper.stdout is not None
        end = time.monotonic() + self.address.connect_timeout + _ANSWER_SECONDS
        lines = b""
        while not any(line.startswith((_FOLDER, _FAILED)) for line in _complete_lines(lines)):
            ready = select.select([keeper.stdout], [], [], max(0.0, end - time.monotonic()))[0]
            if not ready:
                raise TargetUnavailableError(f"{self.address.name} does not answer", hint="?connect-timeout=SECONDS")
            piece = os.read(keeper.stdout.fileno(), 4096)
            if not piece:
                raise self._refusal(keeper)
            lines += piece
        return _complete_lines(lines)

    def _refusal(self, keeper: subprocess.Popen[bytes]) -> ZsqError:
        assert self._errors is not None
        with suppress(subprocess.TimeoutExpired):
            keeper.wait(_ANSWER_SECONDS)
        self._errors.seek(0)
        finished = Finished(code=keeper.poll() or 0, out="", err=self._errors.read().decode(errors="replace"))
        return self.connection_error(finished) or TargetUnavailableError(
            f"{self.address.name} has no POSIX shell: {last_line(finished)}"
        )

    def _close(self, keeper: subprocess.Popen[bytes]) -> bool:
        """Lets the keeper remove the folder; whether it said that it did."""
        assert keeper.stdin is not None and keeper.stdout is not None
        end, answer = time.monotonic() + _REMOVE_SECONDS, b""
        with suppress(OSError):
            keeper.stdin.close()
        while select.select([keeper.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
            piece = os.read(keeper.stdout.fileno(), 4096)
            if not piece:
                break
            answer += piece
        with suppress(subprocess.TimeoutExpired):
            keeper.wait(_REMOVE_SECONDS)
        return _REMOVED.encode() in answer

    def _checked(self, script: str, what: str, *, stdin: Path | None = None, stdout: Path | None = None) -> None:
        finished = self._finished(_shell(script, self._folder), what, stdin=stdin, stdout=stdout)
        if finished.code:
            raise self.failure(finished, what)

    def _finished(self, script: str, what: str, *, stdin: Path | None = None, stdout: Path | None = None) -> Finished:
        finished = self._ended(self.command(script), what, stdin=stdin, stdout=stdout)
        if self.connection_error(finished) is not None or (finished.code and _is_full(finished)):
            raise self.failure(finished, what)
        return finished

    def _ended(
        self, argv: Sequence[str], what: str, *, stdin: Path | None = None, stdout: Path | None = None
    ) -> Finished:
        try:
            return run_process(argv, timeout=self.address.timeout, stdin=stdin, stdout=stdout)
        except TimeoutError as error:
            raise RemoteError(
                f"{what} {self.address.name} took more than {self.address.timeout:g} seconds",
                hint="give it more with ?timeout=SECONDS",
            ) from error


def last_line(finished: Finished) -> str:
    """What a program said last, without the word "error"; or what ended it."""
    if finished.code == _KILLED:
        return "it was killed there, perhaps for want of memory"
    lines = [line.strip() for line in finished.err.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else f"exit code {finished.code}"


def _shell(script: str, *arguments: str) -> str:
    """A command line that any login shell hands on to a POSIX shell."""
    return " ".join(["exec", "sh", "-c", shlex.quote(script), "sh", *map(shlex.quote, arguments)])


def _complete_lines(text: bytes) -> list[str]:
    return text.decode(errors="replace").split("\n")[:-1]


def _is_full(finished: Finished) -> bool:
    return finished.code in _FULL_CODES or any(words.lower() in finished.err.lower() for words in _FULL)
