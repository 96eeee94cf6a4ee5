"""How a device is used: the contract, and what SSH and adb have in common, a POSIX shell at the other end."""

from __future__ import annotations

import shlex
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from zsq_export.errors import RemoteError, ZsqError
from zsq_export.remote.address import Address
from zsq_export.remote.keeper import Keeper
from zsq_export.remote.processes import Finished, run_process
from zsq_export.remote.scripts import KEEPER, RUN, is_full, last_line, shell_line

_REMOVE_SECONDS = 20.0


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
        self._keeper = Keeper(address.name, self.connection_error)
        self._folder = ""

    @abstractmethod
    def command(self, script: str, *, first: bool = False) -> list[str]:
        """The program that runs a shell command line on the device; ``first``: it is the one that stays open."""

    @abstractmethod
    def connection_error(self, finished: Finished) -> ZsqError | None:
        """Why the device could not be reached or was lost; None: it was reached, and the command itself ended so."""

    def __enter__(self) -> Self:
        try:
            script = shell_line(KEEPER, self._parent)
            place = self._keeper.open(self.command(script, first=True), self.address.connect_timeout)
            self._folder, self.machine = place.folder, place.machine
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
        return self._finished(shell_line(RUN, self._folder, *argv), f"running {Path(argv[0]).name} on")

    def remove(self) -> None:
        """Closes the connection that the folder lives by; where that was lost, tries another one."""
        folder, self._folder = self._folder, ""
        if not self._keeper.close(_REMOVE_SECONDS) and folder:
            with suppress(ZsqError, TimeoutError):
                seconds = self.address.connect_timeout + _REMOVE_SECONDS
                run_process(self.command(shell_line('rm -rf "$1"', folder)), timeout=seconds)

    def failure(self, finished: Finished, what: str) -> ZsqError:
        """What went wrong, in one line."""
        lost = self.connection_error(finished)
        if lost is not None:
            return lost
        if is_full(finished):
            return RemoteError(
                f"the disk of {self.address.name} is full while {what} it",
                hint=f"free some space in {self._parent}, or give another place with ?folder=",
            )
        return RemoteError(f"{what} {self.address.name} failed: {last_line(finished)}")

    @property
    def _parent(self) -> str:
        return self.address.folder or self.default_folder

    def _checked(self, script: str, what: str, *, stdin: Path | None = None, stdout: Path | None = None) -> None:
        finished = self._finished(shell_line(script, self._folder), what, stdin=stdin, stdout=stdout)
        if finished.code:
            raise self.failure(finished, what)

    def _finished(self, script: str, what: str, *, stdin: Path | None = None, stdout: Path | None = None) -> Finished:
        finished = self._ended(self.command(script), what, stdin=stdin, stdout=stdout)
        if self.connection_error(finished) is not None or (finished.code and is_full(finished)):
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
