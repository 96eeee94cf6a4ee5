"""Manifest and artifact: what is missing, changed or foreign is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from reports import make_estimate

from zsq_export.artifact import check_destination, file_sha256, find_model, list_artifacts, read_artifact, record_files
from zsq_export.calib.base import Provenance
from zsq_export.errors import ArtifactError
from zsq_export.manifest import MANIFEST_NAME, Manifest, ModelRecord, TensorRecord
from zsq_export.preprocessing import Preprocessing


def manifest_of(folder: Path, model: Path | None = None) -> Manifest:
    return Manifest(
        target="openvino",
        entry="model.xml",
        lowered=("model.xml", "sub/model.bin"),
        model=ModelRecord(
            name="m.onnx", path=str(model or "/nowhere/m.onnx"), sha256=file_sha256(model) if model else "0", size=9
        ),
        seed=3,
        options=(("effort", "fast"), ("calibrator", "auto")),
        versions=(("zsq-export", "0.1.0"),),
        calibration=Provenance(
            calibrator="prior",
            seed=3,
            samples=128,
            settings=(("steps", "30"),),
            final_losses=(("bn", 0.25),),
            notes=("a note",),
        ),
        preprocessing=Preprocessing(mean=(0.5,), std=(0.25,)),
        inputs=(TensorRecord(name="x", shape=(None, 3, 8, 8)),),
        outputs=(TensorRecord(name="y", shape=(None, 10)),),
        files=record_files(folder),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.xml").write_text("<xml/>")
    (folder / "sub" / "model.bin").write_bytes(b"12345")
    (folder / "qdq.onnx").write_bytes(b"qdq")
    (folder / MANIFEST_NAME).write_text(manifest_of(folder).to_json())
    return folder


def test_the_estimate_survives(folder: Path) -> None:
    manifest = replace(manifest_of(folder), estimate=make_estimate())
    assert Manifest.from_dict(json.loads(manifest.to_json())).estimate == manifest.estimate


@pytest.mark.parametrize("change", [{"kind": "guess"}, {"parts": [{}]}, {"percent": "98"}, {"more": 1}])
def test_a_damaged_estimate_is_refused(folder: Path, change: dict[str, object]) -> None:
    raw = json.loads(replace(manifest_of(folder), estimate=make_estimate()).to_json())
    raw["estimate"].update(change)
    with pytest.raises(ArtifactError, match="not valid"):
        Manifest.from_dict(raw)


def test_a_manifest_survives_the_way_to_disk_and_back(folder: Path) -> None:
    artifact = read_artifact(folder)
    again = replace(manifest_of(folder), files=artifact.manifest.files)
    assert sorted(artifact.manifest.options) == sorted(again.options)
    assert replace(artifact.manifest, options=()) == replace(again, options=())
    assert artifact.manifest.to_json() == again.to_json()


def test_the_size_of_what_is_deployed_leaves_out_plan_and_reference(folder: Path) -> None:
    assert read_artifact(folder).lowered_size == len("<xml/>") + 5
    assert read_artifact(folder).entry == folder / "model.xml"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("model.xml", None, "model.xml is missing"),
        ("model.xml", "<xmm/>", "model.xml was changed"),
        ("model.xml", "<xml/>longer", "model.xml was changed"),
        (MANIFEST_NAME, None, "is no artifact"),
        (MANIFEST_NAME, "{", "damaged"),
        (MANIFEST_NAME, "[]", "no manifest"),
        (MANIFEST_NAME, '{"schema_version": 99}', "schema 99"),
        (MANIFEST_NAME, '{"schema_version": 1}', "not valid"),
    ],
)
def test_what_is_missing_or_changed_is_refused(folder: Path, name: str, text: str | None, message: str) -> None:
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_artifact(folder)


def test_a_manifest_cannot_name_files_outside_its_folder(folder: Path) -> None:
    (folder.parent / "secret").write_text("s")
    raw = json.loads((folder / MANIFEST_NAME).read_text())
    raw["files"].append({"name": "../secret", "size": 1, "sha256": file_sha256(folder.parent / "secret")})
    (folder / MANIFEST_NAME).write_text(json.dumps(raw))
    with pytest.raises(ArtifactError, match="outside"):
        read_artifact(folder)


def test_a_folder_of_several_artifacts_is_answered_with_their_names(folder: Path) -> None:
    assert list_artifacts(folder.parent) == (folder,)
    with pytest.raises(ArtifactError, match="holds 1 artifacts") as caught:
        read_artifact(folder.parent)
    assert str(folder) in caught.value.hint


def test_the_float_model_is_found_where_it_was_or_where_it_is_said_to_be(
    folder: Path, digits_model: object, tmp_path: Path
) -> None:
    model: Path = digits_model.path  # type: ignore[attr-defined]
    (folder / MANIFEST_NAME).write_text(replace(manifest_of(folder, model), files=()).to_json())
    artifact = read_artifact(folder)
    assert find_model(artifact) == model
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(model.read_bytes())
    assert find_model(artifact, moved) == moved
    with pytest.raises(ArtifactError, match="does not exist"):
        find_model(artifact, tmp_path / "none.onnx")


def test_a_moved_or_changed_float_model_is_refused(folder: Path, digits_model_folded: object) -> None:
    artifact = read_artifact(folder)
    with pytest.raises(ArtifactError, match="no longer at") as caught:
        find_model(artifact)
    assert "--model" in caught.value.hint
    with pytest.raises(ArtifactError, match="sha256 differs"):
        find_model(artifact, digits_model_folded.path)  # type: ignore[attr-defined]


def test_destinations_that_may_be_used(folder: Path, tmp_path: Path) -> None:
    check_destination(tmp_path / "new", overwrite=False)
    (tmp_path / "empty").mkdir()
    check_destination(tmp_path / "empty", overwrite=False)
    (folder / "report.json").touch()
    check_destination(folder, overwrite=True)


def test_destinations_that_are_in_the_way(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="exists already"):
        check_destination(folder, overwrite=False)
    with pytest.raises(ArtifactError, match="is a file"):
        check_destination(folder / "model.xml", overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_users_own_files_are_never_replaced(folder: Path, tmp_path: Path, overwrite: bool) -> None:
    (folder / "notes.txt").write_text("mine")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").touch()
    for destination in (folder, mine):
        with pytest.raises(ArtifactError):
            check_destination(destination, overwrite=overwrite)
