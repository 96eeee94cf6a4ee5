"""Programs that talk to a device: run to their end, or ended with everything they started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from zsq_export.errors import TargetUnavailableError

_GRACE = 5.0


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended.

    Attributes:
        code: exit code; negative: ended by that signal.
        out: standard output, "" where it went to a file.
        err: standard error.
    """

    code: int
    out: str
    err: str


def run_process(
    argv: Sequence[str], *, timeout: float, stdin: Path | None = None, stdout: Path | None = None
) -> Finished:
    """Runs a program to its end.

    Args:
        argv: program and arguments; no shell in between.
        timeout: seconds.
        stdin: file that it reads; None: nothing.
        stdout: file that it writes; None: kept.

    Raises:
        TargetUnavailableError: there is no such program here.
        TimeoutError: it took too long, and was ended.
    """
    with TemporaryFile() as kept, TemporaryFile() as err, ExitStack() as stack:
        source: IO[bytes] | int = stack.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL
        out: IO[bytes] = stack.enter_context(stdout.open("wb")) if stdout else kept
        process = stack.enter_context(started(argv, stdin=source, stdout=out, stderr=err))
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        return Finished(code=code, out="" if stdout else _text(out), err=_text(err))


@contextmanager
def started(
    argv: Sequence[str], *, stdin: IO[bytes] | int, stdout: IO[bytes] | int, stderr: IO[bytes] | int
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a session of its own, so that Ctrl-C does not reach it before what it holds is given back.

    It is ended on leaving if it still runs.

    Raises:
        TargetUnavailableError: there is no such program here.
    """
    try:
        process = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True)
    except OSError as error:
        raise TargetUnavailableError(
            f"the program {argv[0]} cannot be started here", hint=f"install {argv[0]}"
        ) from error
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    for signum in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
