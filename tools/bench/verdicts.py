"""From results to the table of what is needed, and to Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import networks
from cells import Cell, Result
from networks import PEAK_GIB, SQNR_LOSS_DB, Network

JUDGED_TARGET, JUDGED_CALIBRATOR = "openvino", "auto"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One line: a figure, its limit, and whether it holds."""

    what: str
    figure: float
    relation: str
    limit: float
    passed: bool

    def __str__(self) -> str:
        verdict = "PASS" if self.passed else "FAIL"
        return f"{verdict}  {self.what}: {self.figure:.2f} (needed {self.relation} {self.limit:.2f})"


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Every line of "it is done when" that the results have a figure for."""
    judged = [
        result
        for result in results
        if (result.cell.target, result.cell.calibrator) == (JUDGED_TARGET, JUDGED_CALIBRATOR)
    ]
    return [verdict for result in judged for verdict in _judge_one(result, results)]


def _judge_one(result: Result, results: Sequence[Result]) -> Iterator[Verdict]:
    (network,) = networks.named((result.cell.network,))
    bar, name = network.bar, f"{result.cell.key}"
    if result.cell.effort == "fast":
        yield at_most(f"{name} seconds", result.seconds, bar.fast_seconds)
        return
    yield at_most(f"{name} peak GiB", result.peak_gib, PEAK_GIB)
    if result.cell.folded:
        yield from _folded(result, network, results)
        return
    yield at_least(f"{name} top-1", result.top1, bar.top1)
    yield at_least(f"{name} agreement", result.agreement, bar.agreement)
    yield at_most(f"{name} seconds", result.seconds, bar.seconds)
    if bar.int8_macs is not None:
        yield at_least(f"{name} int8 share of MACs", result.int8_macs, bar.int8_macs)
    for real in _find(results, replace(result.cell, calibrator="data", seed=0)):
        yield at_least(f"{name} SQNR dB", result.sqnr, real.sqnr - SQNR_LOSS_DB)


def _folded(result: Result, network: Network, results: Sequence[Result]) -> Iterator[Verdict]:
    if network.bar.folded_loss is None:
        return
    for kept in _find(results, replace(result.cell, folded=False)):
        limit = kept.agreement - network.bar.folded_loss
        yield at_least(f"{result.cell.key} agreement", result.agreement, limit)


def _find(results: Sequence[Result], cell: Cell) -> list[Result]:
    return [result for result in results if result.cell == cell]


def at_least(what: str, figure: float | None, limit: float) -> Verdict:
    """A figure that has to reach a limit; None fails."""
    value = float("-inf") if figure is None else figure
    return Verdict(what=what, figure=value, relation=">=", limit=limit, passed=round(value, 6) >= limit)


def at_most(what: str, figure: float | None, limit: float) -> Verdict:
    """A figure that must not exceed a limit; None fails."""
    value = float("inf") if figure is None else figure
    return Verdict(what=what, figure=value, relation="<=", limit=limit, passed=round(value, 6) <= limit)


COLUMNS = ("model", "target", "calibrator", "seed", "FP32 top-1", "top-1", "agreement", "SQNR dB", "int8 MACs",
           "seconds", "peak GiB")  # fmt: skip


def markdown(results: Sequence[Result]) -> str:
    """One row per result."""
    header = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    return "\n".join([*header, *(_row(result) for result in results)]) + "\n"


def _row(result: Result) -> str:
    cell = result.cell
    fold = ", BatchNorm folded" if cell.folded else ""
    effort = "" if cell.effort == "balanced" else f" ({cell.effort})"
    fields = [f"{cell.network}{fold}", cell.target, f"{cell.calibrator}{effort}", str(cell.seed)]
    fields += [f"{value:.1f}" for value in (result.float_top1, result.top1, result.agreement, result.sqnr)]
    fields += ["" if result.int8_macs is None else f"{100 * result.int8_macs:.1f} %"]
    fields += ["" if result.seconds is None else f"{result.seconds:.1f}"]
    fields += ["" if result.peak_gib is None else f"{result.peak_gib:.2f}"]
    return f"| {' | '.join(fields)} |"
