"""Files and folders appear whole or not at all, also when the process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zsq_export import atomic
from zsq_export.atomic import AtomicFolder, check_new_file, remove_leftovers, write_file
from zsq_export.errors import ArtifactError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def make(destination: Path, text: str = "new", *, overwrite: bool = False) -> None:
    with AtomicFolder(destination, overwrite=overwrite) as folder:
        (folder.path / "a").write_text(text)
        folder.commit("last", b"{}")


def test_a_committed_folder_holds_everything_and_leaves_nothing_else(tmp_path: Path) -> None:
    make(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["a", "last"]


def test_nothing_is_left_without_commit_not_even_the_parents_that_were_made(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), AtomicFolder(tmp_path / "x" / "y" / "out") as folder:
        (folder.path / "a").write_text("half")
        raise RuntimeError
    assert names(tmp_path) == []


def test_the_last_file_is_written_after_all_others_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync, write = atomic._sync, atomic._write_durably
    monkeypatch.setattr(atomic, "_sync", lambda path: (synced.append(path.name), sync(path)))
    monkeypatch.setattr(atomic, "_write_durably", lambda path, data: (synced.append(path.name), write(path, data)))
    make(tmp_path / "out")
    assert synced == ["a", "last"]


def test_a_folder_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ArtifactError, match="appeared"), AtomicFolder(out) as folder:
        out.mkdir()
        (out / "theirs").touch()
        folder.commit("last", b"")
    assert names(out) == ["theirs"]
    assert names(tmp_path) == ["out"]


def test_overwriting_replaces_only_with_something_complete(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "old")
    with pytest.raises(RuntimeError), AtomicFolder(out, overwrite=True) as folder:
        (folder.path / "a").write_text("half")
        raise RuntimeError
    assert (out / "a").read_text() == "old"
    make(out, "new", overwrite=True)
    assert (out / "a").read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_the_old_folder_comes_back_if_the_swap_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, rename = tmp_path / "out", Path.rename
    make(out, "old")

    def fail_second(self: Path, target: Path) -> Path:
        if Path(target) == out and "unfinished" in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_second)
    with pytest.raises(OSError, match="No space"):
        make(out, overwrite=True)
    assert (out / "a").read_text() == "old"
    assert names(tmp_path) == ["out"]


CHILD = """
import sys, time
from pathlib import Path
from zsq_export import atomic
from zsq_export.atomic import AtomicFolder

stage = sys.argv[2]

def pause(at):
    if at == stage:
        print("here", flush=True)
        time.sleep(60)

rename = Path.rename
def slow_rename(self, target):
    moved = rename(self, target)
    if "replaced" in Path(target).name:
        pause("swapping")
    return moved
Path.rename = slow_rename
with AtomicFolder(Path(sys.argv[1]), overwrite=True) as folder:
    pause("entered")
    (folder.path / "a").write_text("new")
    pause("filled")
    folder.commit("last", b"{}")
    pause("committed")
"""


def run_and_kill(destination: Path, stage: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(destination), stage], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"
    child.kill()
    child.wait()
    child.stdout.close()


@pytest.mark.parametrize("stage", ["entered", "filled"])
def test_a_killed_process_leaves_no_folder_and_the_next_one_clears_up(tmp_path: Path, stage: str) -> None:
    run_and_kill(tmp_path / "out", stage)
    assert not (tmp_path / "out").exists()
    assert len(names(tmp_path)) == 1
    make(tmp_path / "other")
    assert names(tmp_path) == ["other"]


def test_a_process_killed_in_the_middle_of_a_swap_loses_nothing(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    run_and_kill(tmp_path / "out", "swapping")
    assert not (tmp_path / "out").exists()
    remove_leftovers(tmp_path)
    assert (tmp_path / "out" / "a").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_the_folder_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "out"), "filled"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    try:
        before = names(tmp_path)
        remove_leftovers(tmp_path)
        assert names(tmp_path) == before
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_a_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    write_file(path, b"one", overwrite=False)
    with pytest.raises(ArtifactError, match="exists already"):
        write_file(path, b"two", overwrite=False)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"two", overwrite=True)
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["plan.json"]


def test_a_file_name_that_cannot_work_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is a folder"):
        check_new_file(tmp_path, overwrite=True)
    with pytest.raises(ArtifactError, match="does not exist"):
        check_new_file(tmp_path / "no" / "file", overwrite=False)


def test_an_interrupt_while_filling_removes_the_folder(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "out"), "filled"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    child.wait()
    child.stdout.close()
    assert names(tmp_path) == []
