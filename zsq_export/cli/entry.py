"""From a command's outcome to one line on stderr and an exit code: the only place that decides either."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from enum import IntEnum
from types import FrameType

import click

from zsq_export.atomic import is_writing
from zsq_export.cli.commands import root
from zsq_export.errors import ZsqError


class ExitCode(IntEnum):
    """What the shell learns. 3 (a gate failed) and 4 (runtime or device missing) come from ``zsq_export.errors``."""

    FINE = 0
    ERROR = 1
    USAGE = 2
    SIGNAL_BASE = 128


class Stopped(BaseException):
    """Raised by SIGINT, SIGTERM and SIGHUP, so that everything half-written is removed on the way out."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


_SHOW_CURSOR = "\x1b[?25h"
"""A progress bar hides it."""

_OUT_OF_MEMORY = ("bad_alloc", "not enough memory", "out of memory", "Failed to allocate memory")
"""How ONNX Runtime, PyTorch, CUDA and OpenVINO word it in a RuntimeError."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code; ``arguments`` as in :func:`zsq_export.cli.main`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _stop_on_signals()
    try:
        outcome = root.main(args=given, prog_name="zsq-export", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else ExitCode.FINE
    except (Exception, Stopped) as error:
        if "--debug" in given:
            _print_traceback(error)
        return _report(error)


def _report(error: BaseException) -> int:
    """Prints the one line of an error and returns its exit code."""
    if isinstance(error, BrokenPipeError):
        return _end_quietly()
    message, code = _describe(error)
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _describe(error: BaseException) -> tuple[str, int]:
    match error:
        case Stopped():
            described = str(error), ExitCode.SIGNAL_BASE + error.signum
        case ZsqError():
            described = str(error), error.exit_code
        case click.ClickException():
            described = _usage_message(error), ExitCode.USAGE
        case _ if _is_memory(error):
            described = "out of memory (use fewer --samples, or --effort fast)", ExitCode.ERROR
        case OSError():
            described = _system_message(error), ExitCode.ERROR
        case _:
            what = f"unexpected {type(error).__name__}: {error}"[:300]
            described = f"{what} (this is a bug: please report it with the output of --debug)", ExitCode.ERROR
    return described


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
    )


def _usage_message(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        message = f"there is no option {error.option_name}"
        message += f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
    else:
        message = " ".join(error.format_message().split()).rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _system_message(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    where = f"{error.filename}: " if error.filename else ""
    hints = {
        errno.ENOSPC: " (free some space, or write to another disk with -o)",
        errno.EDQUOT: " (free some space, or write to another disk with -o)",
        errno.EACCES: " (check the permissions, or give another place)",
        errno.EROFS: " (write to another place with -o)",
    }
    return f"{where}{reason}{hints.get(error.errno or 0, '')}"


def _end_quietly() -> int:
    """The reader of stdout went away (``| head``): no message, and none from the interpreter's last flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.ERROR


def _print_traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error)


def _stop_on_signals() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _raise_stopped)


def _raise_stopped(signum: int, frame: FrameType | None) -> None:
    if _is_importing(frame) and not is_writing():
        _exit_now(signum)
    raise Stopped(signum)


def _is_importing(frame: FrameType | None) -> bool:
    """Native modules of some libraries crash on an exception in the middle of their import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _exit_now(signum: int) -> None:
    cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
    print(f"{cursor}error: {Stopped(signum)}", file=sys.stderr, flush=True)
    os._exit(ExitCode.SIGNAL_BASE + signum)
