"""The whole way: one artifact per target, all or none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from zsq_export.artifact import Artifact
from zsq_export.atomic import AtomicFolder
from zsq_export.backends.base import Backend
from zsq_export.errors import KernelMissingError, ZsqError
from zsq_export.manifest import MANIFEST_NAME, Manifest
from zsq_export.pipeline.calibrating import calibrate_as_told
from zsq_export.pipeline.checking import check_conversion
from zsq_export.pipeline.conversion import Calibrated, Conversion
from zsq_export.pipeline.describing import effective_options
from zsq_export.pipeline.judging import Judge
from zsq_export.pipeline.planning import insert_qdq, plan_for, read_plan, round_plan
from zsq_export.planning.fallback import give_back
from zsq_export.progress import Progress, silent
from zsq_export.rounding.base import Rounded
from zsq_export.validation.forecast import AgreementEstimate
from zsq_export.writing import fill_artifact

Refine = Callable[[Calibrated, Backend, Rounded, Judge], Rounded]
"""Changes what is about to be lowered for one target."""


def convert(
    conversion: Conversion,
    progress: Progress = silent,
    *,
    calibration: Callable[[Conversion, Progress], Calibrated] | None = None,
    refine: Refine | None = None,
) -> tuple[Artifact, ...]:
    """Makes one artifact per target, all from one calibration. Either all appear, at the end, or none.

    Args:
        conversion: see there.
        progress: told what is being done.
        calibration: gives the calibration; None: as the conversion says.
        refine: changes each plan before it is lowered; None: nothing does.

    Raises:
        ZsqError: the first thing that cannot be done; nothing is left behind.
    """
    backends = check_conversion(conversion)
    with ExitStack() as stack:
        folders = [
            stack.enter_context(AtomicFolder(conversion.destination(backend.name), overwrite=conversion.overwrite))
            for backend in backends
        ]
        calibrated = (calibration or calibrate_as_told)(conversion, progress)
        work = _Work(conversion=conversion, calibrated=calibrated, judge=Judge(calibrated, progress), progress=progress)
        manifests = [
            _fill(work, backend, folder.path, refine) for backend, folder in zip(backends, folders, strict=True)
        ]
        for folder, manifest in zip(folders, manifests, strict=True):
            folder.commit(MANIFEST_NAME, manifest.to_json().encode())
    return tuple(Artifact(folder=conversion.destination(manifest.target), manifest=manifest) for manifest in manifests)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Work:
    """What all targets of one conversion share."""

    conversion: Conversion
    calibrated: Calibrated
    judge: Judge
    progress: Progress


def _fill(work: _Work, backend: Backend, folder: Path, refine: Refine | None) -> Manifest:
    """Everything of the way that is done once per target."""
    conversion, calibrated, progress = work.conversion, work.calibrated, work.progress
    progress(f"planning for {backend.name}", None)
    uncorrected = replace(conversion.planning, bias_correction=False)
    plan = read_plan(conversion, calibrated, backend) or plan_for(calibrated, backend, uncorrected)
    rounded = round_plan(conversion, calibrated, plan, progress)
    if refine is not None:
        rounded = refine(calibrated, backend, rounded, work.judge)
    progress(f"lowering for {backend.name}", None)
    plan = rounded.plan
    options = effective_options(conversion, backend, plan)
    while True:
        qdq = insert_qdq(calibrated.prepared, plan, rounded.integers)
        try:
            manifest = fill_artifact(folder, calibrated.prepared, calibrated.result, plan, qdq, backend, options)
            return replace(manifest, estimate=_estimate(work, backend, folder / manifest.entry))
        except KernelMissingError as error:
            plan = give_back(plan, calibrated.prepared.folded, error)
            progress(f"no kernel for {plan.float_ops[-1].node}, which stays float; lowering again", None)


def _estimate(work: _Work, backend: Backend, entry: Path) -> AgreementEstimate | None:
    """None where it was not asked for, and where the target or the float model cannot run here on inputs of ours."""
    if not work.conversion.estimate or not backend.probe().available:
        return None
    try:
        estimator = work.judge.estimator
        work.progress(f"estimating the agreement of {backend.name}", None)
        return estimator.judge(backend.open(entry, threads=None).run)
    except ZsqError as error:
        work.progress(f"no estimate for {backend.name}: {error.message}", None)
        return None
