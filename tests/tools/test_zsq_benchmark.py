"""The zero-shot benchmark: what it measures, how it is dealt out, and that it runs on its smallest network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "tools" / "bench"
LINE = ["--quick", "-c", "moments", "-c", "random", "-b", "w8a8"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)


@pytest.mark.usefixtures("bench")
def test_every_cell_has_a_file_of_its_own_and_the_baselines_are_everywhere() -> None:
    from zsq_blocks import BLOCKS
    from zsq_data import SEEDS
    from zsq_plan import all_cells

    cells = all_cells(BLOCKS)
    assert max(Counter(cell.key for cell in cells).values()) == 1
    seeds = {cell.source.seed for cell in cells}
    assert seeds == set(SEEDS)
    for network in {cell.source.network for cell in cells}:
        kinds = {(c.source.calibrator, c.weights, c.activations) for c in cells if c.source.network == network}
        for calibrator in ("auto", "data", "random"):
            assert {(calibrator, 8, 8), (calibrator, 4, 8), (calibrator, 4, 4), (calibrator, 4, 32)} <= kinds
    assert all(cell.weights < 8 for cell in cells if cell.rounding == "adaround")


@pytest.mark.usefixtures("bench")
def test_large_networks_get_fewer_inputs_on_a_cpu_only() -> None:
    from zsq_blocks import BLOCKS, COSTS, GPU, LARGE
    from zsq_plan import all_cells

    for blocks, device, wanted in ((BLOCKS, "cpu", {("balanced", 0), ("balanced", 64)}),
                                   (COSTS, "cpu", {("balanced", 0), ("balanced", 64)}),
                                   (GPU, "cuda", {("balanced", 0), ("balanced", 64), ("balanced", 256),
                                                  ("thorough", 256)})):  # fmt: skip
        sources = [cell.source for cell in all_cells(blocks) if cell.source.network in LARGE]
        assert {source.device for source in sources} == {device}
        assert {(source.effort, source.samples) for source in sources} == wanted


@pytest.mark.usefixtures("bench")
def test_every_seed_draws_real_inputs_of_its_own() -> None:
    from zsq_blocks import GPU, LARGE
    from zsq_data import SEEDS, spread
    from zsq_plan import all_cells

    draws = [spread(256, 1000, draw).tolist() for draw in range(len(SEEDS))]
    assert len(set().union(*draws)) == 3 * 256 and max(map(max, draws)) < 1000
    assert set(spread(64, 1000, 2)) <= set(draws[2]), "fewer inputs are some of the more"
    assert spread(64, 1000).tolist() == [index * 1000 // 64 for index in range(64)]
    learned = [cell.source for cell in all_cells(GPU) if cell.activations == 4 and cell.source.network in LARGE]
    for calibrator, samples in (("auto", {0, 256}), ("data", {64, 256})):
        for wanted in samples:
            seeds = {s.seed for s in learned if (s.calibrator, s.samples) == (calibrator, wanted)}
            assert seeds == set(SEEDS)


@pytest.mark.usefixtures("bench")
def test_shards_share_the_sources_without_overlap() -> None:
    from zsq_blocks import BLOCKS
    from zsq_jobs import Machine, _of_shard
    from zsq_plan import all_cells

    cells = all_cells(BLOCKS)
    parts = [_of_shard(cells, Machine(shard=index, shards=3)) for index in (1, 2, 3)]
    assert sorted(cell.key for part in parts for cell in part) == sorted(cell.key for cell in cells)
    sources = [{cell.source for cell in part} for part in parts]
    assert not sources[0] & sources[1] and not sources[1] & sources[2]


@pytest.mark.usefixtures("bench")
def test_promises_are_judged_by_the_mean_over_the_seeds() -> None:
    from dataclasses import replace

    from zsq_bars import verdicts
    from zsq_blocks import BLOCKS
    from zsq_cells import Result
    from zsq_plan import all_cells
    from zsq_tables import figure, markdown

    cells = [
        cell for cell in all_cells(BLOCKS)
        if cell.source.network == "resnet20_chenyaofo" and cell.rounding == "adaround"
        and cell.weights == 3 and cell.source.calibrator == "auto" and cell.protocol == "literature"
    ]  # fmt: skip
    tops = (87.0, 87.5, 86.6)
    results = [Result(cell=cell, float_top1=92.5, top1=top) for cell, top in zip(cells, tops, strict=True)]
    (line, passed), _ = verdicts(results, 60.0)
    assert passed and "W3A3 adaround, literature, drop: 5.47 (5.5, 5.0, 5.9)" in line
    worse = [replace(result, top1=result.top1 - 1) for result in results]
    assert not next(verdicts(worse, 60.0))[1]
    assert "| 5.5 | 5.5, 5.0, 5.9 |" in markdown(results)
    assert "not here" in markdown([Result(cell=cells[0], obstacle="not here")])
    assert figure(results).count("<title>") == 1


@pytest.mark.assets
@pytest.mark.slow
def test_it_measures_and_resumes(tmp_path: Path) -> None:
    line = [sys.executable, str(BENCH / "zsq_benchmark.py"), *LINE, "--threads", "1", "--work", str(tmp_path)]
    subprocess.run(line, capture_output=True, text=True, check=True)
    results = json.loads((tmp_path / "zsq.json").read_text())
    assert len(results) == 6
    assert {entry["cell"]["protocol"] for entry in results} == {"deployable", "literature"}
    assert all(entry["float_top1"] == 88.1 and entry["peak_gib"] > 0 for entry in results)
    moments = [entry for entry in results if entry["cell"]["source"]["calibrator"] == "moments"]
    assert moments and all(entry["top1"] > 86 for entry in moments)
    assert (tmp_path / "zsq.svg").read_text().startswith("<svg")
    spoilt = next((tmp_path / "zsq").glob("*moments*literature*"))
    spoilt.write_text(spoilt.read_text()[:40])
    again = subprocess.run(line, capture_output=True, text=True, check=True)
    assert again.stderr.count("[") == 1 and "moments" in again.stderr
    assert "6 of 6 cells" in again.stdout
