"""Ctrl-C, SIGTERM and kill -9 at any moment: nothing half-written, and the right exit code."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zsq_export.artifact import list_artifacts, read_artifact
from zsq_export.errors import ArtifactError

SLOW = """
import sys, time
import zsq_export.pipeline.{module} as stop
original = stop.{function}
def slow(*arguments, **options):
    result = original(*arguments, **options)
    print("here", flush=True)
    time.sleep(60)
    return result
stop.{function} = slow
from zsq_export.cli import main
sys.exit(main(sys.argv[1:]))
"""
STAGES = {
    "prepare_model": "calibrating",
    "plan_for": "converting",
    "insert_qdq": "converting",
    "fill_artifact": "converting",
}
"""Function -> module of the pipeline that calls it."""


def start(work: Path, model: Path, stage: str) -> subprocess.Popen[str]:
    """A conversion that has just finished one stage and waits there."""
    arguments = ["convert", str(model), "-t", "onnxruntime", "--calibrator", "random", "-o", "sub/out"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(function=stage, module=STAGES[stage]), *arguments],
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


@pytest.mark.parametrize(
    ("stop", "stage"),
    [(signal.SIGINT, "prepare_model"), (signal.SIGINT, "fill_artifact"), (signal.SIGTERM, "insert_qdq")],
)
def test_a_signal_ends_with_one_line_and_leaves_nothing(
    work: Path, digits_model: Any, stop: signal.Signals, stage: str
) -> None:
    process = start(work, digits_model.path, stage)
    process.send_signal(stop)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + stop
    assert err == f"error: stopped by {stop.name}\n"
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_leaves_no_artifact_and_the_next_run_clears_up(
    work: Path, digits_model: Any, here: Callable[..., Any], stage: str
) -> None:
    process = start(work, digits_model.path, stage)
    process.kill()
    process.communicate()
    assert not (work / "sub" / "out").exists()
    for leftover in (work / "sub").iterdir():
        with pytest.raises(ArtifactError):
            read_artifact(leftover)
    assert list_artifacts(work / "sub") == ()
    assert here("validate", "sub/out").code == 1
    arguments = ("-t", "onnxruntime", "--calibrator", "random", "-q", "-o", "sub/out")
    assert here("convert", digits_model.path, *arguments).code == 0
    assert [entry.name for entry in (work / "sub").iterdir()] == ["out"]


IMPORTING = """
import sys
from pathlib import Path
from zsq_export.atomic import AtomicFolder
from zsq_export.cli import entry

entry._stop_on_signals()
try:
    if sys.argv[1] == "idle":
        import stopping
    else:
        with AtomicFolder(Path("out")):
            import stopping
except BaseException as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(("doing", "code", "out"), [("idle", 130, ""), ("writing", 0, "Stopped\n")])
def test_an_import_is_not_interrupted_by_an_exception_unless_something_has_to_be_removed(
    work: Path, doing: str, code: int, out: str
) -> None:
    (work / "stopping.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(9): pass")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING, doing], cwd=work, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, out)
    assert done.stderr == ("error: stopped by SIGINT\n" if doing == "idle" else "")
    assert not list(work.glob(".out*"))


@pytest.mark.slow
def test_a_kill_at_any_time_leaves_nothing_that_validates(
    work: Path, digits_model: Any, command: Callable[..., list[str]]
) -> None:
    arguments = command("convert", digits_model.path, "-t", "openvino", "--calibrator", "random", "-o", "out")
    started = time.monotonic()
    subprocess.run(arguments, cwd=work, check=True, capture_output=True)
    whole = time.monotonic() - started
    complete = 0
    for step in range(12):
        shutil.rmtree(work / "out", ignore_errors=True)
        process = subprocess.Popen(arguments, cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * (0.45 + 0.05 * step))
        process.kill()
        process.wait()
        if (work / "out").exists():
            read_artifact(work / "out")
            complete += 1
    assert complete < 12
