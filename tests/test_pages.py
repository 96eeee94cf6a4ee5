from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reports import make_report

from zsq_export.errors import ArtifactError
from zsq_export.pages import holds_several, write_comparison, write_page
from zsq_export.reporting.report_json import write_report


def artifact(folder: Path, *, target: str = "openvino", model: str = "0", measured: bool = True) -> Path:
    """As much of an artifact as a page needs."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").touch()
    if measured:
        report = replace(make_report(), target=target, model_sha256=model * 64, pictures="inputs.png")
        write_report(report, folder / "report.json")
    return folder


def test_a_folder_of_artifacts_is_told_from_an_artifact(tmp_path: Path) -> None:
    one = artifact(tmp_path / "one")
    assert holds_several(tmp_path) and not holds_several(one) and not holds_several(tmp_path / "none")


def test_every_artifact_is_on_the_page_by_the_name_of_its_target(tmp_path: Path) -> None:
    artifact(tmp_path / "a", target="openvino")
    artifact(tmp_path / "b", target="tflite")
    waiting = artifact(tmp_path / "c", measured=False)
    found = write_comparison(tmp_path)
    assert [report.target for report in found.reports] == ["openvino", "tflite"] and found.missing == (waiting,)
    text = found.page.read_text()
    assert found.page == tmp_path / "report.html" and "2 targets measured" in text
    assert '<span class="who s0">openvino</span>' in text and '<span class="who s1">tflite</span>' in text


def test_two_artifacts_of_one_target_are_called_by_their_folders(tmp_path: Path) -> None:
    artifact(tmp_path / "int8", target="tflite")
    artifact(tmp_path / "16x8", target="tflite")
    text = write_comparison(tmp_path).page.read_text()
    assert '<span class="who s0">16x8</span>' in text and '<span class="who s1">int8</span>' in text


def test_different_models_are_not_compared(tmp_path: Path) -> None:
    artifact(tmp_path / "a", model="0")
    artifact(tmp_path / "b", model="1")
    with pytest.raises(ArtifactError, match="different models"):
        write_comparison(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_without_any_report_the_message_says_how_to_make_one(tmp_path: Path) -> None:
    artifact(tmp_path / "a", measured=False)
    with pytest.raises(ArtifactError, match="zsq-export validate"):
        write_comparison(tmp_path)


def test_thumbnails_come_from_beside_the_report_and_from_nowhere_else(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "a")
    report = replace(make_report(), pictures="../secret.png")
    (tmp_path / "secret.png").write_bytes(b"secret")
    assert "data:image/png" not in write_page(folder, report).read_text()
    (folder / "secret.png").write_bytes(b"thumbnails")
    assert "data:image/png;base64,dGh1bWJuYWlscw==" in write_page(folder, report).read_text()
