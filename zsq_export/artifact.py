"""The artifact: a folder with the lowered file, the plan, and a manifest that proves that nothing is missing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zsq_export.errors import ArtifactError
from zsq_export.manifest import MANIFEST_NAME, FileRecord, Manifest

PLAN_NAME, QDQ_NAME, PREPROCESSING_NAME = "plan.json", "qdq.onnx", "preprocessing.json"
REPORT_NAMES = ("report.json", "report.html")
"""Written by ``validate`` beside the files of the manifest, and not among them."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A complete artifact on the disk."""

    folder: Path
    manifest: Manifest

    @property
    def entry(self) -> Path:
        """The lowered file to open."""
        return self.folder / self.manifest.entry

    @property
    def sha256(self) -> str:
        """Of the manifest, which holds the sha256 of everything else."""
        return file_sha256(self.folder / MANIFEST_NAME)

    @property
    def lowered_size(self) -> int:
        """Bytes of what is deployed: the lowered files without plan, QDQ model and manifest."""
        lowered = set(self.manifest.lowered)
        return sum(record.size for record in self.manifest.files if record.name in lowered)


def read_artifact(folder: Path) -> Artifact:
    """Reads an artifact and verifies the sha256 of every file.

    Args:
        folder: of one artifact.

    Raises:
        ArtifactError: there is none, or a file of it is missing or changed; a folder that holds several artifacts
            is answered with their names.
    """
    manifest = _read_manifest(folder)
    for record in manifest.files:
        _verify(folder, record)
    return Artifact(folder=folder, manifest=manifest)


def list_artifacts(folder: Path) -> tuple[Path, ...]:
    """The artifacts directly inside a folder, by name: what a conversion for several targets leaves."""
    if not folder.is_dir():
        return ()
    inside = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return tuple(sorted(entry for entry in inside if (entry / MANIFEST_NAME).is_file()))


def find_model(artifact: Artifact, given: Path | None = None) -> Path:
    """The float model that the artifact was made from.

    Args:
        artifact: says where the model was and what its sha256 is.
        given: where it is now; None: where it was.

    Raises:
        ArtifactError: it is not there, or it is another one.
        ModelError: it is no ONNX file any more.
    """
    record = artifact.manifest.model
    path = given or Path(record.path)
    if not path.is_file():
        where = f"{path} does not exist" if given else f"the float model is no longer at {path}"
        raise ArtifactError(where, hint=f"say where {record.name} is now with --model")
    from zsq_export.graph.source import source_file

    if source_file(path).sha256 != record.sha256:
        raise ArtifactError(
            f"{path} is not the model that {artifact.folder} was made from (its sha256 differs)",
            hint="convert again, or give the original file with --model",
        )
    return path


def check_destination(folder: Path, *, overwrite: bool) -> None:
    """Refuses an output folder that may not be written, before any work starts.

    Raises:
        ArtifactError: it exists and ``overwrite`` is false, or it holds anything but one artifact of ours.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file, the output has to be a folder", hint="give another one with -o")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise ArtifactError(f"{folder} exists already", hint="give --overwrite, or another folder with -o")
    foreign = _foreign_file(folder)
    if foreign is not None:
        raise ArtifactError(
            f"{folder} is not replaced: {foreign} in it is not part of an artifact",
            hint="give another folder with -o, or move your files away",
        )


def record_files(folder: Path) -> tuple[FileRecord, ...]:
    """Size and sha256 of every file below a folder, sorted by name."""
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return tuple(
        FileRecord(name=name, size=(folder / name).stat().st_size, sha256=file_sha256(folder / name)) for name in names
    )


def file_sha256(path: Path) -> str:
    """Sha256 of a file in hex, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(folder: Path) -> Manifest:
    several = list_artifacts(folder)
    if several and not (folder / MANIFEST_NAME).exists():
        names = ", ".join(str(path) for path in several)
        raise ArtifactError(f"{folder} holds {len(several)} artifacts, one is needed", hint=f"give one of: {names}")
    try:
        raw = json.loads((folder / MANIFEST_NAME).read_text())
    except OSError as error:
        hint = "an artifact is the folder that `zsq-export convert` wrote"
        raise ArtifactError(f"{folder} is no artifact: cannot read its {MANIFEST_NAME}", hint=hint) from error
    except ValueError as error:
        raise ArtifactError(f"{folder / MANIFEST_NAME} is damaged: {error}", hint="convert the model again") from error
    if not isinstance(raw, dict):
        raise ArtifactError(f"{folder / MANIFEST_NAME} is no manifest", hint="convert the model again")
    return Manifest.from_dict(raw)


def _verify(folder: Path, record: FileRecord) -> None:
    name = PurePosixPath(record.name)
    if name.is_absolute() or ".." in name.parts:
        raise ArtifactError(f"the manifest of {folder} names a file outside of it: {record.name}")
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{path} is missing from the artifact", hint="convert the model again")
    if path.stat().st_size != record.size or file_sha256(path) != record.sha256:
        raise ArtifactError(f"{path} was changed after it was made", hint="convert the model again")


def _foreign_file(folder: Path) -> str | None:
    """The first file in the folder that no manifest of ours lists; all of them if there is no manifest."""
    try:
        known = {record.name for record in _read_manifest(folder).files} | {MANIFEST_NAME, *REPORT_NAMES}
    except ArtifactError:
        known = set()
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir())
    return next((name for name in files if name not in known), None)
