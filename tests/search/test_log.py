"""What a killed search leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from reports import make_estimate

from zsq_export.errors import ArtifactError
from zsq_export.search.log import SearchLog, Trial, fingerprint, prepare_folder, work_folder
from zsq_export.search.trial import Timing

TRIAL = Trial(
    units=("a", "b"),
    estimate=make_estimate(),
    timing=Timing(baseline="float f32", ratio=1.5, low=1.4, high=1.6, seconds=0.1, baseline_seconds=0.15),
)


def test_what_was_measured_is_read_again(tmp_path: Path) -> None:
    log = SearchLog(tmp_path, "tflite", "one")
    log.add_trial(TRIAL)
    log.add("noise", [0.5, 1e-9])
    again = SearchLog(tmp_path, "tflite", "one")
    assert again.trial(["b", "a"]) == TRIAL and again.get("noise") == [0.5, 1e-9] and again.trials == 1
    assert again.trial(["a"]) is None and again.get("other") is None


def test_a_torn_line_is_dropped_and_what_follows_is_whole(tmp_path: Path) -> None:
    log = SearchLog(tmp_path, "tflite", "one")
    log.add_trial(TRIAL)
    log.path.write_text(log.path.read_text() + '{"key": "noise", "val')
    again = SearchLog(tmp_path, "tflite", "one")
    assert again.trial(TRIAL.units) == TRIAL and again.get("noise") is None
    again.add("noise", [1.0])
    assert SearchLog(tmp_path, "tflite", "one").get("noise") == [1.0]


def test_another_search_starts_anew(tmp_path: Path) -> None:
    SearchLog(tmp_path, "tflite", "one").add_trial(TRIAL)
    assert SearchLog(tmp_path, "tflite", "two").trial(TRIAL.units) is None


def test_the_work_folder_is_beside_the_output(tmp_path: Path) -> None:
    folder = work_folder(tmp_path / "out")
    assert folder == tmp_path / "out.search"
    assert not prepare_folder(folder, "one")
    (folder / "calibration.npz").write_text("kept")
    assert prepare_folder(folder, "one") and (folder / "calibration.npz").exists()
    assert not prepare_folder(folder, "two") and not (folder / "calibration.npz").exists()


def test_what_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("...")
    with pytest.raises(ArtifactError, match="not made by a search"):
        prepare_folder(tmp_path / "mine", "one")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="is a file"):
        prepare_folder(tmp_path / "file", "one")


def test_a_fingerprint_follows_every_part() -> None:
    base = {"model": "1", "planning": (1, 2)}
    assert fingerprint(base) == fingerprint(dict(reversed(base.items())))
    assert fingerprint(base) != fingerprint(base | {"model": "2"})
