"""The search's decisions, with a bench that computes what it would measure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import model, node, weights
from plans import plan, prepared, table
from reports import make_estimate

from zsq_export.backends.options import FloatPrecision, TargetOptions
from zsq_export.errors import GateFailedError
from zsq_export.planning.plan import SearchAction
from zsq_export.planning.plan_json import plan_from_json, plan_to_json
from zsq_export.planning.table import BiasRule, Scope
from zsq_export.rounding.base import Rounded
from zsq_export.search.log import SearchLog
from zsq_export.search.options import SearchOptions
from zsq_export.search.outcome import Outcome
from zsq_export.search.run import require_outcomes
from zsq_export.search.search import Search
from zsq_export.search.trial import Timing
from zsq_export.search.units import Units

LAYERS = 12
NOISE = [0.1 * (1 + 7 * (index % 5 == 2)) for index in range(LAYERS)]
"""Of the weight of each layer; every fifth one is bad."""


def chain() -> Any:
    nodes = [node("Conv", [f"t{i}", f"w{i}"], f"t{i + 1}", name=f"conv{i}") for i in range(LAYERS)]
    nodes.append(node("Add", [f"t{LAYERS}", "t1"], "y", name="sum"))
    constants = {f"w{i}": weights(3, 3, 1, 1) for i in range(LAYERS)}
    return model(nodes, constants, inputs={"t0": ("N", 3, 8, 8)})


GRAPH = chain()
RULES = table(Scope.INPUTS, BiasRule.FLOAT)
UNITS = Units(plan(GRAPH, RULES), GRAPH, RULES)


@dataclass
class FakeRunner:
    left: frozenset[str]
    precision: FloatPrecision | None = None


@dataclass
class FakeBench:
    """Disagreement is the root of the noise that is left; every float layer costs time, a float Add saves some.

    Attributes:
        scale: disagreement with everything quantized, percent.
        add: times as fast with the Add in float.
        speedup: of everything quantized.
        builds: plans that were built.
        dies_after: builds; then the process is "killed".
        fastest: precision that the float model is fastest in.
        coarse: disagreement that the precision adds to what is in float, percent.
    """

    scale: float = 4.0
    add: float = 0.9
    speedup: float = 2.0
    builds: int = 0
    dies_after: int = 10_000
    judged: list[frozenset[str]] = field(default_factory=list)
    fastest: FloatPrecision = FloatPrecision.F32
    coarse: float = 0.0
    prepared = prepared(GRAPH)
    backend = SimpleNamespace(
        options=TargetOptions(), rest_precisions=lambda: (FloatPrecision.F32, FloatPrecision.BF16)
    )

    def build(self, made: Any) -> tuple[Any, FakeRunner]:
        if self.builds >= self.dies_after:
            raise KeyboardInterrupt
        self.builds += 1
        left = frozenset(op.node for op in made.float_ops if op.node in UNITS.units)
        return made, FakeRunner(left, TargetOptions.from_settings(made.settings).float_precision)

    def judge(self, runner: FakeRunner) -> Any:
        self.judged.append(runner.left)
        weight = sum(noise for i, noise in enumerate(NOISE) if f"conv{i}" not in runner.left) / sum(NOISE)
        coarse = self.coarse if runner.left and runner.precision is FloatPrecision.BF16 else 0.0
        return replace(make_estimate(), percent=100 - self.scale * weight**0.5 - coarse, low=90.0, high=100.0)

    def against_float(self, runner: FakeRunner, seconds: float) -> Timing:
        return self._timing(self._speed(runner.left))

    def against(self, other: FakeRunner, runner: FakeRunner, seconds: float) -> Timing:
        return self._timing(self._speed(runner.left) / self._speed(other.left))

    def _speed(self, left: frozenset[str]) -> float:
        convs = len(left - {"sum"})
        return self.speedup / (1 + (self.speedup - 1) * convs / LAYERS) * (self.add if "sum" in left else 1.0)

    def _timing(self, ratio: float) -> Timing:
        return Timing(
            baseline="float f32",
            ratio=ratio,
            low=0.98 * ratio,
            high=1.02 * ratio,
            seconds=1 / ratio,
            baseline_seconds=1.0,
            precision=self.fastest.value,
        )


def search(folder: Path, bench: FakeBench, **options: Any) -> Outcome:
    log = SearchLog(folder, "test", "same")
    if log.get("noise") is None:
        order = {item.tensor: i for i, item in enumerate(UNITS.plan.tensors)}
        noise = [0.0] * len(order)
        for i, value in enumerate(NOISE):
            noise[order[f"w{i}"]] = value
        log.add("noise", noise)
    return Search(Rounded(plan=UNITS.plan), UNITS, bench, log, SearchOptions(**options)).run()  # type: ignore[arg-type]


def left_by(outcome: Outcome) -> set[str]:
    return {op.node for op in outcome.plan.float_ops}


def test_a_plan_that_holds_the_gates_is_left_alone(tmp_path: Path) -> None:
    found = search(tmp_path, FakeBench(), min_agreement=95.0, min_speedup=1.5)
    assert not left_by(found) and not found.unmet and not found.notes
    assert [step.action for step in found.plan.search] == [SearchAction.START, SearchAction.DROP_SLOW]


def test_a_plan_is_built_once_to_be_judged_and_timed(tmp_path: Path) -> None:
    bench = FakeBench()
    search(tmp_path, bench, min_agreement=95.0)
    assert bench.builds == 2, "as planned, and with the Add in float"


@settings(max_examples=25, deadline=None)
@given(wanted=st.floats(96.1, 99.9))
def test_as_few_layers_as_do_are_left_in_float(tmp_path_factory: pytest.TempPathFactory, wanted: float) -> None:
    bench = FakeBench()
    found = search(tmp_path_factory.mktemp("search"), bench, min_agreement=wanted)
    assert not found.unmet and found.estimate.percent >= wanted
    left = left_by(found)
    order = sorted(range(LAYERS), key=lambda i: (-NOISE[i], i))
    best = next(n for n in range(LAYERS + 1)
                if bench.judge(FakeRunner(frozenset(f"conv{i}" for i in order[:n]))).percent >= wanted)  # fmt: skip
    assert best <= len(left - {"sum"}) <= best + 2, "the border is found to one step of the order"


def test_every_step_is_in_the_plan(tmp_path: Path) -> None:
    found = search(tmp_path, FakeBench(), min_agreement=98.5)
    steps = found.plan.search
    assert plan_from_json(plan_to_json(found.plan)).search == steps
    assert steps[0].action is SearchAction.START and steps[0].speedup == pytest.approx(2.0)
    assert any(step.action is SearchAction.KEEP_FLOAT for step in steps)
    kept = [step for step in steps if step.kept][-1]
    assert kept.agreement == found.estimate.percent and kept.speedup == found.timing.ratio  # type: ignore[union-attr]


def test_what_loses_time_is_dropped(tmp_path: Path) -> None:
    found = search(tmp_path, FakeBench(add=1.2), min_agreement=90.0)
    assert left_by(found) == {"sum"}
    assert found.plan.search[1].kept and "1.20 times as fast" in found.plan.search[1].reason
    assert not left_by(search(tmp_path / "other", FakeBench(add=1.01), min_agreement=90.0)), "within the noise"


def test_a_speed_that_cannot_be_had_is_told_and_the_best_plan_kept(tmp_path: Path) -> None:
    found = search(tmp_path, FakeBench(), min_agreement=99.0, min_speedup=1.9)
    assert found.estimate.percent >= 99.0 and left_by(found)
    with pytest.raises(GateFailedError, match=r"tflite: 1\.\d\d times as fast as float f32.*1\.9 wanted.*was kept"):
        require_outcomes({"tflite": found})
    require_outcomes({})


def test_a_plan_slower_than_float_says_so(tmp_path: Path) -> None:
    found = search(tmp_path, FakeBench(speedup=0.8), min_agreement=97.0)
    assert not found.unmet and "slower than the best float model" in found.notes[0]
    about = search(tmp_path / "about", FakeBench(speedup=1.005), min_agreement=90.0)
    assert "not measurably faster" in about.notes[0]


def test_without_latency_nothing_is_dropped_and_that_is_said(tmp_path: Path) -> None:
    found = search(tmp_path, FakeBench(add=1.5), min_agreement=98.0, timed=False)
    assert found.timing is None and found.notes == ("latency was not measured",)
    assert all(step.action is not SearchAction.DROP_SLOW for step in found.plan.search)


def test_everything_in_float_is_the_last_resort(tmp_path: Path) -> None:
    bench = FakeBench(scale=99.0)
    found = search(tmp_path, bench, min_agreement=100.0)
    assert left_by(found) >= {f"conv{i}" for i in range(LAYERS)} and not found.unmet


@pytest.mark.parametrize("dies_after", range(1, 7))
def test_a_killed_search_goes_on_where_it_was(tmp_path: Path, dies_after: int) -> None:
    whole = search(tmp_path / "whole", FakeBench(), min_agreement=98.5)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "killed", FakeBench(dies_after=dies_after), min_agreement=98.5)
    rest = FakeBench()
    again = search(tmp_path / "killed", rest, min_agreement=98.5)
    assert again.plan == whole.plan
    fresh = FakeBench()
    search(tmp_path / "fresh", fresh, min_agreement=98.5)
    assert rest.builds <= fresh.builds - dies_after + 2 and len(rest.judged) < len(fresh.judged) + 1


def test_a_tighter_gate_uses_what_was_measured(tmp_path: Path) -> None:
    search(tmp_path, FakeBench(), min_agreement=98.0)
    bench = FakeBench()
    search(tmp_path, bench, min_agreement=98.0)
    assert bench.builds == 0


def test_time_that_is_over_ends_the_search_with_a_plan_that_holds(tmp_path: Path) -> None:
    ticks = iter(range(0, 100_000, 1000))
    found = search(tmp_path, FakeBench(), min_agreement=98.5, clock=lambda: float(next(ticks)))
    assert not found.unmet and found.estimate.percent >= 98.5


@pytest.mark.parametrize(
    ("fastest", "coarse", "expected"),
    [
        (FloatPrecision.BF16, 0.1, FloatPrecision.BF16),
        (FloatPrecision.BF16, 5.0, None),
        (FloatPrecision.F32, 0.0, None),
        (FloatPrecision.F16, 0.0, None),
    ],
)
def test_what_is_in_float_runs_in_the_fastest_precision_that_agrees(
    tmp_path: Path, fastest: FloatPrecision, coarse: float, expected: FloatPrecision | None
) -> None:
    found = search(tmp_path, FakeBench(fastest=fastest, coarse=coarse), min_agreement=98.0)
    assert left_by(found) and not found.unmet
    assert any("in bf16" in note for note in found.notes) == (coarse > 1)
    assert TargetOptions.from_settings(found.plan.settings).float_precision is expected
    again = search(tmp_path, FakeBench(fastest=fastest, coarse=coarse, dies_after=0), min_agreement=98.0)
    assert again.plan == found.plan
