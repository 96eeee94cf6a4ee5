"""The public functions, as a script calls them; the command line goes through the same pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from zsq_export import pipeline, verification
from zsq_export.artifact import Artifact
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.registry import get_backend
from zsq_export.bundle.build import build_bundle
from zsq_export.bundle.results import read_results
from zsq_export.bundle.samples import SampleLimit
from zsq_export.calib.base import CalibrationResult
from zsq_export.calib.saved import save_calibration
from zsq_export.errors import UsageError
from zsq_export.listing import list_targets
from zsq_export.metrics.base import Metric
from zsq_export.metrics.choose import choose_metric
from zsq_export.options import CalibrationOptions
from zsq_export.planning.options import PlanOptions
from zsq_export.planning.plan import Plan
from zsq_export.preprocessing import Fitting, Preprocessing
from zsq_export.remote.address import parse_address
from zsq_export.remote.measure import measure_remotely
from zsq_export.validation.gates import Gates
from zsq_export.validation.latency import LatencyOptions
from zsq_export.validation.report_types import ValidationReport
from zsq_export.validation.validate import ValidationOptions

__all__ = ["calibrate", "convert", "list_targets", "make_bundle", "plan", "validate"]

File = str | PathLike[str]


def convert(  # noqa: PLR0913  # keyword-only, each with a default
    model: File,
    *,
    targets: Sequence[str],
    output: File,
    calibration: CalibrationOptions | None = None,
    planning: PlanOptions | None = None,
    target_options: TargetOptions | None = None,
    saved_calibration: File | None = None,
    saved_plan: File | None = None,
    overwrite: bool = False,
) -> tuple[Artifact, ...]:
    """Quantizes a float ONNX model without data and lowers it.

    Args:
        model: the .onnx file.
        targets: registered names, see :func:`list_targets`.
        output: folder of the artifact; with several targets each gets a sub-folder of its name.
        calibration: how statistics are made; None: the calibrator ``auto`` with its defaults.
        planning: how statistics become ranges.
        target_options: scheme and settings of the targets; None: their defaults.
        saved_calibration: file of an earlier :func:`calibrate`, instead of calibrating.
        saved_plan: plan.json of one target, perhaps edited, instead of planning.
        overwrite: replace artifacts that exist.

    Returns:
        One artifact per target, in the order asked for.

    Raises:
        ZsqError: the message says what is wrong and what to do; nothing is left behind.
    """
    conversion = pipeline.Conversion(
        model=Path(model),
        targets=(targets,) if isinstance(targets, str) else tuple(targets),
        output=Path(output),
        calibration=calibration or CalibrationOptions(),
        planning=planning or PlanOptions(),
        target_options=target_options or TargetOptions(),
        saved_calibration=None if saved_calibration is None else Path(saved_calibration),
        saved_plan=None if saved_plan is None else Path(saved_plan),
        overwrite=overwrite,
    )
    return pipeline.convert(conversion)


def calibrate(
    model: File,
    *,
    output: File | None = None,
    calibration: CalibrationOptions | None = None,
    overwrite: bool = False,
) -> CalibrationResult:
    """Gathers statistics once, for any target.

    Args:
        model: the .onnx file.
        output: file to save them to; None: only return them.
        calibration: how; None: the calibrator ``auto`` with its defaults.
        overwrite: replace an existing file.

    Raises:
        ZsqError: the model cannot be calibrated so, or the file exists.
    """
    calibrated = pipeline.calibrate(Path(model), calibration or CalibrationOptions())
    if output is not None:
        save_calibration(calibrated.result, Path(output), calibrated.prepared, overwrite=overwrite)
    return calibrated.result


def plan(
    model: File,
    *,
    target: str,
    saved_calibration: File | None = None,
    calibration: CalibrationOptions | None = None,
    planning: PlanOptions | None = None,
    target_options: TargetOptions | None = None,
) -> Plan:
    """Decides what of a model one target quantizes, and how.

    Args:
        model: the .onnx file.
        target: registered name.
        saved_calibration: file of an earlier :func:`calibrate`; None: calibrate now.
        calibration: how to calibrate now.
        planning: how statistics become ranges.
        target_options: scheme and settings of the target; None: its defaults.

    Raises:
        ZsqError: an unknown target or option, or a model or calibration that does not fit.
    """
    backend = get_backend(target).configured(target_options or TargetOptions())
    if saved_calibration is not None:
        calibrated = pipeline.resume(Path(model), Path(saved_calibration))
    else:
        calibrated = pipeline.calibrate(Path(model), calibration or CalibrationOptions())
    return pipeline.plan_for(calibrated, backend, planning or PlanOptions())


def validate(  # noqa: PLR0913  # keyword-only, each with a default
    artifact: File,
    *,
    model: File | None = None,
    data: File | None = None,
    preprocessing: Preprocessing | None = None,
    fitting: Fitting | None = None,
    metrics: Sequence[str | Metric] = (),
    gates: Gates | None = None,
    latency: LatencyOptions | None = LatencyOptions(),  # noqa: B008  # frozen
    threads: int | None = None,
    device: str | None = None,
    results: File | None = None,
) -> ValidationReport:
    """Measures an artifact, here or on a device; writes ``report.json`` and ``report.html`` into its folder.

    Args:
        artifact: its folder.
        model: the float model, if it moved.
        data: labelled data, see :func:`zsq_export.validation.data.load_labelled`; None: held-out synthetic inputs.
        preprocessing: of pictures; None: as the artifact says.
        fitting: how pictures come to the model's size; None: as the preprocessing says.
        metrics: to measure of both models: objects, or what ``--metric`` takes.
        gates: limits; see ``passed`` of the report.
        latency: how to time; None: do not.
        threads: of the runtime.
        device: where to measure instead, "ssh://user@host" or "adb://SERIAL".
        results: what a :func:`make_bundle` printed on a device, instead of measuring; excludes ``device``.

    Raises:
        ZsqError: the artifact is incomplete or changed, its runtime or the device is missing, or the data does not fit.
    """
    if device is not None and results is not None:
        raise UsageError("device and results exclude each other")
    chosen = tuple(choose_metric(metric) if isinstance(metric, str) else metric for metric in metrics)
    options = ValidationOptions(gates=gates or Gates(), latency=latency, threads=threads, metrics=chosen)
    wanted = verification.Verification(
        folder=Path(artifact),
        model=None if model is None else Path(model),
        data=None if data is None else Path(data),
        preprocessing=preprocessing,
        fitting=fitting,
        options=options,
    )
    if device is not None:
        return verification.validate_recorded(wanted, measure_remotely(wanted, parse_address(device)))
    if results is not None:
        recorded = verification.Recorded(results=read_results(Path(results)), place=str(results))
        return verification.validate_recorded(wanted, recorded)
    return verification.validate(wanted)


def make_bundle(  # noqa: PLR0913  # keyword-only, each with a default
    artifact: File,
    output: File,
    *,
    model: File | None = None,
    data: File | None = None,
    preprocessing: Preprocessing | None = None,
    fitting: Fitting | None = None,
    latency: LatencyOptions | None = LatencyOptions(),  # noqa: B008  # frozen
    threads: int | None = None,
    samples: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Packs an artifact with inputs, float model and a runner for a device, see docs/device.md.

    Args:
        artifact: its folder.
        output: the zip file.
        model, data, preprocessing, fitting, latency, threads: as for :func:`validate`.
        samples: at most so many; None: 256, and so many that they take 128 MiB.
        overwrite: replace a file that exists.

    Returns:
        ``output``.

    Raises:
        ZsqError: the artifact is incomplete or changed, the target has no runner, or the data does not fit.
    """
    wanted = verification.Verification(
        folder=Path(artifact),
        model=None if model is None else Path(model),
        data=None if data is None else Path(data),
        preprocessing=preprocessing,
        fitting=fitting,
        options=ValidationOptions(latency=latency, threads=threads),
    )
    build_bundle(wanted, Path(output), limit=SampleLimit(most=samples), overwrite=overwrite)
    return Path(output)
