"""Files and folders that appear whole or not at all, whatever kills the process."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from zsq_export.errors import ArtifactError

_in_work: set[Path] = set()
"""Folders that this process is filling."""

_UNFINISHED, _REPLACED = ".zsq-unfinished-", ".zsq-replaced-"


def write_file(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Writes a file under a temporary name beside it, then renames it.

    Raises:
        ArtifactError: the file exists and ``overwrite`` is false.
        OSError: it cannot be written; nothing is left behind.
    """
    check_new_file(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.name}{_UNFINISHED}{secrets.token_hex(4)}")
    try:
        _write_durably(temporary, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def is_writing() -> bool:
    """Whether this process has a folder in work that has to be removed if it stops now."""
    return bool(_in_work)


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Refuses a file name that cannot or may not be written, before any work starts.

    Raises:
        ArtifactError: it exists and ``overwrite`` is false, it is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise ArtifactError(f"{path} is a folder, a file name is needed")
    if path.exists() and not overwrite:
        raise ArtifactError(f"{path} exists already", hint="give --overwrite, or another name with -o")
    if not path.parent.is_dir():
        raise ArtifactError(f"the folder {path.parent} does not exist", hint="create it first")


class AtomicFolder:
    """A folder that is filled beside its destination and renamed when it is complete.

    Use as a context manager; without :meth:`commit` everything is removed on leaving. A folder that a killed process
    left behind keeps its temporary name, which nothing reads, and goes away when the next one is made beside it: the
    process holds a lock on its folder for as long as it lives.

    Args:
        destination: final place. An empty folder there is replaced.
        overwrite: replace a filled folder, too, after the new one is complete.
    """

    def __init__(self, destination: Path, *, overwrite: bool = False) -> None:
        self.destination = destination.resolve()
        self.overwrite = overwrite
        self.path = Path()
        self._lock: int | None = None
        self._made_parents: tuple[Path, ...] = ()

    def __enter__(self) -> Self:
        parent = self.destination.parent
        self._made_parents = tuple(folder for folder in (parent, *parent.parents) if not folder.exists())
        self.path = parent / f".{self.destination.name}{_UNFINISHED}{secrets.token_hex(4)}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(parent)
            _in_work.add(self.path)
            self.path.mkdir()
        except OSError as error:
            _in_work.discard(self.path)
            raise OSError(error.errno, error.strerror, str(self.destination)) from error
        self._lock = _lock(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        for folder in self._made_parents:
            with suppress(OSError):
                folder.rmdir()
        _unlock(self._lock)
        _in_work.discard(self.path)

    def commit(self, last_name: str, last_data: bytes) -> None:
        """Makes everything durable, writes the one file that makes the folder valid, and renames the folder.

        Args:
            last_name: file that is written after all others have reached the disk.
            last_data: its bytes.

        Raises:
            ArtifactError: somebody else made the destination meanwhile.
        """
        for file in sorted(self.path.rglob("*")):
            _sync(file)
        _write_durably(self.path / last_name, last_data)
        _sync_folder(self.path)
        if self.overwrite and self.destination.exists():
            self._replace()
        else:
            self._rename()
        _sync_folder(self.destination.parent)

    def _rename(self) -> None:
        try:
            self.path.rename(self.destination)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            raise ArtifactError(
                f"{self.destination} appeared while it was being made: {error.strerror}",
                hint="give --overwrite, or another folder with -o",
            ) from error

    def _replace(self) -> None:
        """Swaps in two renames; ``remove_leftovers`` puts the old folder back if the process dies between them."""
        old = self.destination.with_name(f".{self.destination.name}{_REPLACED}{secrets.token_hex(4)}")
        lock = _lock(self.destination)
        try:
            self.destination.rename(old)
            self.path.rename(self.destination)
        except BaseException:
            if old.exists() and not self.destination.exists():
                old.rename(self.destination)
            raise
        finally:
            _unlock(lock)
        shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Removes what killed processes left in a folder, and puts back what they had moved away but not yet replaced."""
    for folder in parent.glob(f".*{_UNFINISHED}*"):
        if folder.is_dir() and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in parent.glob(f".*{_REPLACED}*"):
        original = parent / folder.name[1:].rpartition(_REPLACED)[0]
        if not _is_abandoned(folder):
            continue
        if original.exists():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.rename(original)


def _is_abandoned(folder: Path) -> bool:
    lock = _lock(folder)
    _unlock(lock)
    return lock is not None


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock until it is closed; None where it is taken or cannot be locked."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    if path.is_dir():
        _sync_folder(path)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
