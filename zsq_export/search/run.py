"""``convert --search``: the pipeline with a search between planning and lowering."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace

from zsq_export.artifact import Artifact, file_sha256
from zsq_export.backends.base import Backend
from zsq_export.calib.saved import save_calibration
from zsq_export.errors import GateFailedError, TargetUnavailableError, UsageError
from zsq_export.graph.source import source_file
from zsq_export.pipeline import Calibrated, Conversion, Judge, calibrate_as_told, check_conversion, convert, resume
from zsq_export.progress import Progress, silent
from zsq_export.rounding.base import Rounded
from zsq_export.search.log import CALIBRATION_NAME, SearchLog, fingerprint, prepare_folder, work_folder
from zsq_export.search.options import SearchOptions
from zsq_export.search.outcome import Outcome
from zsq_export.search.search import Search
from zsq_export.search.trial import Bench
from zsq_export.search.units import Units
from zsq_export.version import version


@dataclass(frozen=True, kw_only=True)
class Searched:
    """The artifacts, and where each search ended.

    Attributes:
        artifacts: one per target, in the order asked for.
        outcomes: by target.
    """

    artifacts: tuple[Artifact, ...]
    outcomes: Mapping[str, Outcome]


def convert_with_search(conversion: Conversion, options: SearchOptions, progress: Progress = silent) -> Searched:
    """Converts, and changes each plan until the gates hold or nothing is left to change.

    What was measured is kept in ``OUTPUT.search`` until the artifacts are complete: after a kill, the same call goes on
    there. The best plan is written even where a gate does not hold (see :func:`require_outcomes`).

    Raises:
        UsageError: with a saved plan, or without a gate.
        TargetUnavailableError: a target cannot run here, so that nothing can be measured.
        ZsqError: as of :func:`zsq_export.pipeline.convert`.
    """
    _check(conversion, options)
    identity = _identity(conversion, options)
    folder = work_folder(conversion.output)
    prepare_folder(folder, identity)
    outcomes: dict[str, Outcome] = {}
    started = options.clock()

    def calibration(wanted: Conversion, told: Progress) -> Calibrated:
        saved = folder / CALIBRATION_NAME
        if wanted.saved_calibration is not None:
            return calibrate_as_told(wanted, told)
        if saved.exists():
            return resume(wanted.model, saved)
        calibrated = calibrate_as_told(wanted, told)
        save_calibration(calibrated.result, saved, calibrated.prepared)
        return calibrated

    def refine(calibrated: Calibrated, backend: Backend, rounded: Rounded, judge: Judge) -> Rounded:
        bench = Bench(backend, calibrated.prepared, rounded.integers, judge.estimator, options.threads)
        units = Units(rounded.plan, calibrated.prepared.folded, backend.placement())
        log = SearchLog(folder, backend.name, identity)
        told = replace(options, progress=progress)
        outcome = Search(rounded, units, bench, log, told, None if outcomes else started).run()
        outcomes[backend.name] = outcome
        return replace(rounded, plan=outcome.plan)

    artifacts = convert(conversion, progress, calibration=calibration, refine=refine)
    shutil.rmtree(folder, ignore_errors=True)
    return Searched(artifacts=artifacts, outcomes=outcomes)


def require_outcomes(outcomes: Mapping[str, Outcome]) -> None:
    """Turns gates that do not hold into the error that sets the exit code.

    Raises:
        GateFailedError: says which, and that the best plan was kept.
    """
    failed = [f"{target}: {reason}" for target, outcome in outcomes.items() for reason in outcome.unmet]
    if failed:
        raise GateFailedError(
            f"no plan was found that holds the gates: {'; '.join(failed)}",
            hint="the best plan found was kept; lower the gates, or deploy the float model",
        )


def _check(conversion: Conversion, options: SearchOptions) -> None:
    if conversion.saved_plan is not None:
        raise UsageError("--search makes a plan of its own", hint="leave --plan or --search out")
    if options.min_agreement is None and options.min_speedup is None:
        raise UsageError("--search needs something to reach", hint="give --min-agreement, --min-speedup or both")
    for backend in check_conversion(conversion):
        if not backend.probe().available:
            raise TargetUnavailableError(
                f"--search measures on the device, and target {backend.name} cannot run here",
                hint=backend.probe().hint,
            )


def _identity(conversion: Conversion, options: SearchOptions) -> str:
    """Of everything that the measurements depend on; the gates are no part of it, so that they can be tightened."""
    saved = conversion.saved_calibration
    return fingerprint(
        {
            "version": version(),
            "model": source_file(conversion.model).sha256,
            "calibration": conversion.calibration if saved is None else file_sha256(saved),
            "planning": conversion.planning,
            "target": conversion.target_options,
            "threads": options.threads,
            "timed": options.timed,
        }
    )
