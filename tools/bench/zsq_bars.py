"""What the project promises of zero-shot quantization, checked on the benchmark's results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import mean

from zsq_blocks import LARGE
from zsq_cells import Cell, Protocol, Result
from zsq_data import SUBJECTS
from zsq_tables import Method

CHENYAOFO = "resnet20_chenyaofo"
HOURS = 2.0
MOMENTS_SECONDS = 2.0
REAL_DATA_LEADS = {8: 0.5, 4: 1.5}
"""Points by which real data may be better, by bits."""

Test = Callable[[Result], bool]


def verdicts(results: Sequence[Result], core_seconds: float) -> Iterator[tuple[str, bool]]:
    """One line per promise that the results say something of, and whether it is kept."""
    measured = [result for result in results if not result.obstacle]
    for network in LARGE:
        moments = _of(measured, network, bits=(8, 8), calibrator="moments", where=lambda r: r.cell.source.equalize)
        yield from _at_most(f"{network} W8A8 moments + equalize, drop", _drops(moments), 1.5)
        yield from _at_most(
            f"{network} W8A8 moments + equalize, seconds", [r.seconds for r in moments], MOMENTS_SECONDS
        )
        for rounding, device, limit in (("adaround", "cuda", 5.0), ("adaround", "cpu", None), ("squant", "cpu", None)):
            found = _of(measured, network, bits=(4, 8), calibrator="auto", rounding=rounding,
                        where=lambda r, device=device: r.cell.source.device == device)  # fmt: skip
            steps = f" ({found[0].cell.steps} steps)" if found and found[0].cell.steps else ""
            yield from _at_most(f"{network} W4A8 {rounding} on {device}{steps}, drop", _drops(found), limit)
    for bits, protocol, limit in (
        (4, Protocol.LITERATURE, 1.1), (4, Protocol.DEPLOYABLE, 2.5), (3, Protocol.LITERATURE, 5.8)
    ):  # fmt: skip
        found = _of(measured, CHENYAOFO, bits=(bits, bits), calibrator="auto", rounding="adaround", protocol=protocol,
                    where=lambda r: r.cell.source.effort == "thorough")  # fmt: skip
        yield from _at_most(f"{CHENYAOFO} W{bits}A{bits} adaround, {protocol}, drop", _drops(found), limit)
    for bits, limit in REAL_DATA_LEADS.items():
        for item in SUBJECTS:
            yield from _lead_of_real_data(measured, item.name, bits, limit)
    yield from _at_most("whole CPU part on two cores, hours", [core_seconds / 3600 / 2], HOURS)


def _of(
    results: Sequence[Result],
    network: str,
    *,
    bits: tuple[int, int],
    calibrator: str,
    rounding: str | None = None,
    protocol: Protocol = Protocol.DEPLOYABLE,
    where: Test = lambda _result: True,
) -> list[Result]:
    return [
        result
        for result in results
        if result.cell.source.network == network
        and (result.cell.weights, result.cell.activations) == bits
        and result.cell.source.calibrator == calibrator
        and rounding in (None, result.cell.rounding)
        and result.cell.protocol is protocol
        and where(result)
    ]


def _drops(results: Sequence[Result]) -> list[float]:
    return [result.drop for result in results]


def _lead_of_real_data(results: Sequence[Result], network: str, bits: int, limit: float) -> Iterator[tuple[str, bool]]:
    """Best mean over seeds on real data less the best without, whatever the rounding, its steps and its device."""
    real: dict[Cell, list[float]] = {}
    synthetic: dict[Cell, list[float]] = {}
    for result in results:
        cell = result.cell
        if (cell.source.network, cell.weights, cell.activations, cell.protocol) != (
            network, bits, bits, Protocol.DEPLOYABLE
        ):  # fmt: skip
            continue
        kind = real if cell.source.calibrator == "data" else synthetic
        if cell.source.calibrator != "random":
            kind.setdefault(replace(cell, source=replace(cell.source, seed=0)), []).append(result.top1)
    if real and synthetic:
        best, ours = (max(kind.items(), key=lambda entry: mean(entry[1])) for kind in (real, synthetic))
        what = f"{network} W{bits}A{bits}, lead of real data ({_named(*best)}) over {_named(*ours)}"
        yield from _at_most(what, [mean(best[1]) - mean(ours[1])], limit)


def _named(cell: Cell, tops: Sequence[float]) -> str:
    method = Method.of(cell)
    seeds = f", {len(tops)} seeds" if len(tops) > 1 else ""
    return f"{method.calibrator}, {method.rounding}{seeds}: {mean(tops):.1f}"


def _at_most(what: str, figures: Sequence[float], limit: float | None) -> Iterator[tuple[str, bool]]:
    """The mean has to keep the limit; None: reported only."""
    if not figures:
        return
    passed = limit is None or mean(figures) <= limit
    each = "" if len(figures) == 1 else f" ({', '.join(f'{figure:.1f}' for figure in figures)})"
    needed = "reported only" if limit is None else f"needed <= {limit:g}"
    yield f"{'PASS' if passed else 'FAIL'}  {what}: {mean(figures):.2f}{each} ({needed})", passed
