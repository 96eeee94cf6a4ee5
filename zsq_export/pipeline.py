"""The way of a model through the house: one function per stop, each of which can be saved and resumed from.

prepare -> (equalize) -> calibrate -> plan, with bias correction -> round weights -> insert QDQ -> lower -> artifact
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.artifact import MANIFEST_NAME, Artifact, Manifest, check_destination
from zsq_export.atomic import AtomicFolder
from zsq_export.backends.base import Backend
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.registry import get_backend
from zsq_export.calib.base import CalibrationResult, Effort
from zsq_export.calib.registry import get_calibrator
from zsq_export.calib.saved import load_calibration
from zsq_export.errors import KernelMissingError, PlanError, TargetUnavailableError, UsageError, ZsqError
from zsq_export.estimate.estimator import Estimator
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import BatchNormStatistics, PreparedModel
from zsq_export.options import CalibrationOptions
from zsq_export.passes.absorb_bias import AbsorbBias
from zsq_export.passes.correct_bias import CorrectBias
from zsq_export.passes.equalize import Equalize
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning.check import check_plan
from zsq_export.planning.fallback import give_back
from zsq_export.planning.leave_float import leave_as_wished
from zsq_export.planning.options import PlanOptions
from zsq_export.planning.plan import Plan
from zsq_export.planning.plan_json import plan_from_json
from zsq_export.planning.planner import make_plan
from zsq_export.planning.widths import check_widths
from zsq_export.rounding.base import Integers, Rounded, RoundingRequest
from zsq_export.rounding.registry import get_rounding, round_weights
from zsq_export.validation.forecast import AgreementEstimate
from zsq_export.writing import fill_artifact, provenance_of_plan

Progress = Callable[[str, float | None], None]
"""Called with what is being done and the fraction done (None: unknown)."""

_EQUALIZED = ("equalized", "yes")
_IN_A_HURRY = ("effort", Effort.FAST.value)
_BEST_ROUNDING = "gptq"
"""Of those that take seconds: measured in docs/decisions/0003-rounding.md."""


def silent(_message: str, _done: float | None) -> None:
    """Progress sink of a caller who wants none."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """One model, one or several targets.

    Attributes:
        model: the .onnx file.
        targets: registered names; of a saved plan there can be only one.
        output: folder of the artifact; with several targets each gets a sub-folder of its name.
        calibration: how statistics are made.
        planning: how they become ranges.
        target_options: scheme and settings of every target.
        saved_calibration: take the statistics from this file instead.
        saved_plan: take the plan from this file instead.
        overwrite: replace artifacts that exist.
        estimate: say what agreement with the float model to expect on real data.
    """

    model: Path
    targets: tuple[str, ...]
    output: Path
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    planning: PlanOptions = field(default_factory=PlanOptions)
    target_options: TargetOptions = field(default_factory=TargetOptions)
    saved_calibration: Path | None = None
    saved_plan: Path | None = None
    overwrite: bool = False
    estimate: bool = True

    def destination(self, target: str) -> Path:
        """Folder of one target's artifact."""
        return self.output / target if len(self.targets) > 1 else self.output


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated:
    """A model as it was calibrated, and what came of it.

    Attributes:
        prepared: equalized if that was asked for.
        result: of the calibrator.
        equalized: whether the model is.
    """

    prepared: PreparedModel
    result: CalibrationResult
    equalized: bool


class Judge:
    """Makes the held-out inputs of a conversion once, when the first target asks for them."""

    def __init__(self, calibrated: Calibrated, progress: Progress) -> None:
        self._calibrated, self._progress = calibrated, progress
        self._estimator: Estimator | None = None

    @property
    def estimator(self) -> Estimator:
        """For any target.

        Raises:
            ZsqError: the float model cannot be run on inputs of its own.
        """
        if self._estimator is None:
            self._progress("making inputs that calibration did not see", None)
            quick = _IN_A_HURRY in self._calibrated.result.provenance.settings
            self._estimator = Estimator(self._calibrated.prepared, self._calibrated.result, quick=quick)
        return self._estimator


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
    plan = read_plan(conversion, calibrated, backend) or plan_for(calibrated, backend, conversion.planning)
    rounded = round_plan(conversion, calibrated, plan, progress)
    if refine is not None:
        rounded = refine(calibrated, backend, rounded, work.judge)
    progress(f"lowering for {backend.name}", None)
    plan = rounded.plan
    options = _effective_options(conversion, backend, plan)
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


def check_conversion(conversion: Conversion) -> tuple[Backend, ...]:
    """Everything that can be refused before any work starts; returns the backends, configured.

    Raises:
        UsageError: a wrong name, no or too many targets, or an option that a target does not have.
        PlanError: the saved plan cannot be read, or disagrees with an option.
        TargetUnavailableError: a target's runtime, which lowering needs, is not installed.
        ArtifactError: an output folder that is in the way.
    """
    if not conversion.targets or len(set(conversion.targets)) != len(conversion.targets):
        raise UsageError(f"the targets {list(conversion.targets)} are not one or several different ones")
    if conversion.saved_plan is not None and len(conversion.targets) > 1:
        raise UsageError("a plan is for one target", hint="give --plan with one --target")
    options = _target_options(conversion)
    backends = tuple(get_backend(target).configured(options) for target in conversion.targets)
    for backend in backends:
        probe = backend.probe()
        if not probe.runtime:
            raise TargetUnavailableError(f"the runtime of target {backend.name} is missing", hint=probe.hint)
        if not probe.lowers:
            raise TargetUnavailableError(f"the target {backend.name} cannot be built for here", hint=probe.hint)
    if conversion.saved_calibration is None and conversion.saved_plan is None:
        get_calibrator(conversion.calibration.calibrator)
    if conversion.planning.rounding is not None:
        get_rounding(conversion.planning.rounding)
    for backend in backends:
        check_widths(backend.placement(), conversion.planning)
    for target in conversion.targets:
        check_destination(conversion.destination(target), overwrite=conversion.overwrite)
    return backends


def calibrate(model: Path, options: CalibrationOptions, progress: Progress = silent) -> Calibrated:
    """Statistics of the model from the calibrator that was asked for.

    Raises:
        UsageError: there is no such calibrator.
        ModelError: the model cannot be read or quantized.
        CalibrationError: the calibrator cannot work on it.
    """
    calibrator = get_calibrator(options.calibrator)
    if options.improvements and not getattr(calibrator, "improvable", False):
        raise UsageError(
            f"--improve {options.improvements[0]} has no effect on calibrator {calibrator.name}",
            hint="improvements are of --calibrator bn-inversion (or auto, where that is what it takes)",
        )
    progress(f"reading {model}", None)
    prepared = prepare_model(model)
    prepared = equalize(prepared) if options.equalize else prepared
    result = calibrator.calibrate(prepared, replace(options.request(), progress=progress))
    marks = (*((_EQUALIZED,) if options.equalize else ()), *((_IN_A_HURRY,) if options.effort is Effort.FAST else ()))
    settings = (*result.provenance.settings, *marks)
    result = replace(result, provenance=replace(result.provenance, settings=settings))
    return Calibrated(prepared=prepared, result=result, equalized=options.equalize)


def resume(model: Path, saved_calibration: Path) -> Calibrated:
    """The same from a saved calibration.

    Raises:
        ModelError: the model cannot be read or quantized.
        CalibrationError: the file is damaged, or of another model.
    """
    prepared = prepare_model(model)
    result = load_calibration(saved_calibration, prepared)
    equalized = _EQUALIZED in result.provenance.settings
    return Calibrated(prepared=equalize(prepared) if equalized else prepared, result=result, equalized=equalized)


def equalize(prepared: PreparedModel) -> PreparedModel:
    """The same model with channel ranges evened out between neighbouring layers and high biases absorbed (folded form).

    The BatchNorms' gamma and beta follow: they say what leaves the layers that they were folded into.
    """
    folded, equalizer = prepared.folded.clone(), Equalize()
    equalizer(folded)
    outputs = {node.name: str(node.outputs[0].name) for node in prepared.with_batchnorm.graph}
    scaled = tuple(_divided(norm, equalizer.factors.get(outputs[norm.node])) for norm in prepared.batchnorms)
    absorber = AbsorbBias({outputs[norm.node]: (norm.beta, norm.gamma) for norm in scaled})
    absorber(folded)
    lowered = tuple(
        replace(norm, beta=norm.beta - absorber.absorbed.get(outputs[norm.node], np.float32(0))) for norm in scaled
    )
    return replace(prepared, folded=folded, batchnorms=lowered)


def _divided(norm: BatchNormStatistics, factor: NDArray[np.float64] | None) -> BatchNormStatistics:
    if factor is None:
        return norm
    return replace(norm, gamma=(norm.gamma / factor).astype(np.float32), beta=(norm.beta / factor).astype(np.float32))


def plan_for(calibrated: Calibrated, backend: Backend, options: PlanOptions) -> Plan:
    """The plan for one target from the statistics."""
    rounding = options.rounding or _best_rounding(calibrated.result)
    options = replace(options, equalized=calibrated.equalized, rounding=rounding)
    if options.average_bits is not None:
        from zsq_export.mixed.choose import choose_layer_bits

        options = choose_layer_bits(calibrated.prepared, calibrated.result.inputs, backend.placement(), options)
    plan = make_plan(calibrated.prepared, calibrated.result.statistics, backend.placement(), options)
    plan = leave_as_wished(plan, calibrated.prepared.folded, options)
    return replace(plan, settings=backend.options.settings())


def _best_rounding(calibration: CalibrationResult) -> str:
    """The best that there are inputs and time for."""
    hurried = _IN_A_HURRY in calibration.provenance.settings
    return "nearest" if hurried or not calibration.inputs else _BEST_ROUNDING


def read_plan(conversion: Conversion, calibrated: Calibrated, backend: Backend) -> Plan | None:
    """The saved (and perhaps edited) plan, checked against model and target; None if none was given.

    Raises:
        PlanError: it is malformed, or for another model or target.
    """
    if conversion.saved_plan is None:
        return None
    plan = _load_plan(conversion.saved_plan)
    if plan.equalized != calibrated.equalized:
        raise PlanError(
            f"{conversion.saved_plan} and the calibration disagree on whether the model is equalized",
            hint="plan again from this calibration, or leave --calibration out",
        )
    return replace(check_plan(plan, calibrated.prepared, backend.placement()), settings=backend.options.settings())


def round_plan(conversion: Conversion, calibrated: Calibrated, plan: Plan, progress: Progress = silent) -> Rounded:
    """Chooses the integers of the weights as the plan says.

    Raises:
        UsageError: there is no such rounding.
        PlanError: it cannot work on this model and calibration.
    """
    if plan.rounding != "nearest":
        progress(f"rounding weights by {plan.rounding}", None)
    return round_weights(
        RoundingRequest(
            model=calibrated.prepared.folded,
            plan=plan,
            statistics=calibrated.result.statistics,
            inputs=calibrated.result.inputs,
            seed=conversion.calibration.seed,
            steps=conversion.planning.rounding_steps,
            device=conversion.calibration.device.value,
            progress=progress,
        )
    )


def insert_qdq(prepared: PreparedModel, plan: Plan, rounded: Integers | None = None) -> ir.Model:
    """A new model with the plan carried out: the reference semantics of everything after it."""
    model = prepared.folded.clone()
    CorrectBias(plan.bias_corrections)(model)
    InsertQdq(plan, rounded)(model)
    return model


def calibrate_as_told(conversion: Conversion, progress: Progress) -> Calibrated:
    """The saved calibration, what a saved plan needs of one, or a new one."""
    if conversion.saved_calibration is not None:
        return resume(conversion.model, conversion.saved_calibration)
    if conversion.saved_plan is not None:
        return _for_plan(conversion, _load_plan(conversion.saved_plan), progress)
    return calibrate(conversion.model, conversion.calibration, progress)


def _for_plan(conversion: Conversion, plan: Plan, progress: Progress) -> Calibrated:
    """A plan holds all ranges; inputs are made anew only where it says to round the weights by them."""
    if get_rounding(plan.rounding).needs_inputs:
        options = replace(conversion.calibration, equalize=plan.equalized)
        return calibrate(conversion.model, options, progress)
    prepared = prepare_model(conversion.model)
    preprocessing = conversion.calibration.preprocessing
    result = CalibrationResult(statistics={}, inputs={}, preprocessing=preprocessing, provenance=provenance_of_plan())
    prepared = equalize(prepared) if plan.equalized else prepared
    return Calibrated(prepared=prepared, result=result, equalized=plan.equalized)


def _target_options(conversion: Conversion) -> TargetOptions:
    """The user's, over those that a saved plan was made with."""
    if conversion.saved_plan is None:
        return conversion.target_options
    plan = _load_plan(conversion.saved_plan)
    planned = options_of(plan)
    for name in ("scheme", "profile"):
        wanted = getattr(conversion.target_options, name)
        if wanted is not None and wanted is not getattr(planned, name):
            raise PlanError(
                f"{conversion.saved_plan} was not made for --{name} {wanted.value}",
                hint=f"plan again with --{name} {wanted.value}, or leave it out here",
            )
    return conversion.target_options.over(planned)


def options_of(plan: Plan) -> TargetOptions:
    """The options of the target that a plan was made with.

    Raises:
        PlanError: a setting that cannot be read.
    """
    return replace(TargetOptions.from_settings(plan.settings), scheme=plan.scheme)


def _load_plan(path: Path) -> Plan:
    try:
        plan = plan_from_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"cannot read the plan {path}: {error}", hint="make one with `zsq-export plan`") from error
    if plan.learned:
        raise PlanError(
            f"the scales in {path} were learned together with integers that it does not hold",
            hint="edit the plan that `zsq-export plan` writes; to keep these scales, take 'learned' out and set "
            "'rounding' to gptq",
        )
    return plan


def _left_float(planning: PlanOptions) -> tuple[str, ...]:
    return *planning.leave_float, *(f"{name}.." for name in planning.leave_float_from)


def _effective_options(conversion: Conversion, backend: Backend, plan: Plan) -> tuple[tuple[str, str], ...]:
    """The options that had an effect, for the manifest; what was read from a file is called so."""
    planning = conversion.planning
    calibrated, planned = conversion.saved_calibration is None, conversion.saved_plan is None
    inputs_made = planned or get_rounding(plan.rounding).needs_inputs
    return (
        *(
            conversion.calibration.described()
            if calibrated and inputs_made
            else (("calibration", "none" if calibrated else "given"),)
        ),
        *(
            (
                ("range_estimator", planning.estimator.value if planning.estimator else "by bits"),
                ("bias_correction", "yes" if planning.bias_correction else "no"),
                ("weights_bits", str(planning.weights_bits or "default")),
                ("activations_bits", str(planning.activations_bits or "default")),
                ("rounding", planning.rounding or "by inputs"),
                *((("left_float", " ".join(left)),) if (left := _left_float(planning)) else ()),
            )
            if planned
            else (("plan", "given"),)
        ),
        ("scheme", backend.placement().scheme.value),
        *backend.options.settings(),
    )
