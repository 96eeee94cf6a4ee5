"""The command line as a user meets it: in a process of its own, in an empty folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from zsq_export.cli import main


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Exit code and output of one command."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The message of a failure, which has to be exactly one line and no traceback."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert self.out == ""
        return lines[0].removeprefix("error: ")


Run = Callable[..., Outcome]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the commands."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def command(work: Path) -> Callable[..., list[str]]:
    """The argument list of a process that runs the command line."""
    return lambda *arguments: [sys.executable, "-m", "zsq_export", *map(str, arguments)]


@pytest.fixture
def shell(command: Callable[..., list[str]], work: Path) -> Run:
    """Runs a command in a process of its own."""

    def run(*arguments: object) -> Outcome:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command(*arguments), cwd=work, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


@pytest.fixture
def here(work: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command in this process, which is quicker."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    kept = {name: signal.getsignal(getattr(signal, name)) for name in names}

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code=code, out=captured.out, err=captured.err)

    yield run
    for name, handler in kept.items():
        signal.signal(getattr(signal, name), handler)
