"""Options of the search, and how its outcome is told."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from zsq_export.cli.console import Console
from zsq_export.errors import UsageError

if TYPE_CHECKING:
    from zsq_export.search.options import SearchOptions
    from zsq_export.search.outcome import Outcome
    from zsq_export.validation.forecast import AgreementEstimate

Command = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class SearchGoal:
    """What ``--search`` was asked to reach; numbers of the command line.

    Attributes:
        min_agreement: expected on real data, percent; None: any.
        min_speedup: against the best float precision; None: any.
        timed: measure latency.
    """

    min_agreement: float | None
    min_speedup: float | None
    timed: bool

    def options(self, threads: int | None) -> SearchOptions:
        """For the search itself."""
        from zsq_export.search.options import SearchOptions

        return SearchOptions(
            min_agreement=self.min_agreement, min_speedup=self.min_speedup, timed=self.timed, threads=threads
        )


def search_options(command: Command) -> Command:
    """``--search --min-agreement --min-speedup --no-latency``, as ``goal`` (None without ``--search``)."""

    @click.option(
        "--search",
        is_flag=True,
        help="Leave layers in float, as few as do, until the gates hold; drop Q/DQ that lose time.",
    )
    @click.option(
        "--min-agreement",
        type=click.FloatRange(0, 100),
        metavar="PERCENT",
        help="Gate of --search: agreement with the float model expected on real data.",
    )
    @click.option(
        "--min-speedup", type=click.FloatRange(min=0), metavar="TIMES", help="Gate of --search: against the best float."
    )
    @click.option("--no-latency", is_flag=True, help="With --search: do not measure latency.")
    @functools.wraps(command)
    def wrapped(
        *, search: bool, min_agreement: float | None, min_speedup: float | None, no_latency: bool, **rest: Any
    ) -> Any:
        given = min_agreement is not None or min_speedup is not None
        if not search and (given or no_latency):
            raise UsageError(
                "--min-agreement, --min-speedup and --no-latency belong to --search",
                hint="add --search, or give the gates to `zsq-export validate`",
            )
        if search and not given:
            raise UsageError("--search needs something to reach", hint="give --min-agreement, --min-speedup or both")
        if no_latency and min_speedup is not None:
            raise UsageError("--min-speedup and --no-latency exclude each other")
        goal = SearchGoal(min_agreement=min_agreement, min_speedup=min_speedup, timed=not no_latency)
        return command(goal=goal if search else None, **rest)

    return wrapped


def describe_estimate(estimate: AgreementEstimate) -> str:
    """One line: the figure, its interval, and how far it is to be trusted."""
    text = (
        f"expected agreement with float on real data: {estimate.percent:.1f} % "
        f"({estimate.low:.1f} to {estimate.high:.1f}; {estimate.kind.value})"
    )
    return f"{text}; low confidence: {'; '.join(estimate.reasons)}" if estimate.reasons else text


def describe_outcome(target: str, outcome: Outcome, console: Console) -> None:
    """What a search tried, and where it ended."""
    for step in outcome.plan.search:
        timing = "" if step.speedup is None else f", {step.speedup:.2f} × the best float"
        mark = "kept" if step.kept else "not kept"
        console.detail(
            f"{target}: search: {step.action.value} ({len(step.nodes)} nodes): {step.agreement:.1f} %{timing}; "
            f"{mark}: {step.reason}"
        )
    floats = sum(op.reason == _REASON for op in outcome.plan.float_ops)
    console.say(f"{target}: search: {len(outcome.plan.search)} plans tried, {floats} nodes left in float")
    for note in outcome.notes:
        console.say(f"{target}: note: {note}")


_REASON = "left in float by the search"
"""As :mod:`zsq_export.search.measured` words it; spelled out here, so that --help stays quick. A test compares them."""


def payload_of(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """For ``--json``: per target where the search ended. Its steps are in plan.json."""
    return {
        target: {
            "met": not outcome.unmet,
            "unmet": list(outcome.unmet),
            "notes": list(outcome.notes),
            "estimate": asdict(outcome.estimate),
            "timing": None if outcome.timing is None else asdict(outcome.timing),
            "steps": len(outcome.plan.search),
        }
        for target, outcome in outcomes.items()
    }
