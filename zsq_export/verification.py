"""Proof of an artifact: find its float model and inputs, measure, write the report into its folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from zsq_export.artifact import PLAN_NAME, QDQ_NAME, REPORT_NAMES, Artifact, find_model, read_artifact
from zsq_export.backends.base import Backend, ExecutedOp
from zsq_export.backends.registry import get_backend
from zsq_export.calib.base import SyntheticInputs
from zsq_export.calib.convention import detect_convention
from zsq_export.calib.synthesis import field_inputs, normalise, prior_pictures, sole_picture
from zsq_export.calibration_record import read_calibration_record
from zsq_export.device.results import DeviceResults
from zsq_export.errors import ArtifactError, DataError, TargetUnavailableError
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel
from zsq_export.pages import write_page
from zsq_export.pipeline import equalize, options_of
from zsq_export.planning.plan import Plan
from zsq_export.planning.plan_json import plan_from_json
from zsq_export.preprocessing import Fitting, Preprocessing
from zsq_export.reporting.report_json import write_report
from zsq_export.validation.bench import Bench
from zsq_export.validation.data import load_labelled
from zsq_export.validation.recorded import RecordedBench
from zsq_export.validation.report_types import ValidationReport
from zsq_export.validation.samples import Samples, samples_from_arrays
from zsq_export.validation.validate import Subject, ValidationOptions, validate_artifact

HELD_OUT_SAMPLES = 128
_HELD_OUT_SEED = 1_000_003
"""Added to the seed of the calibration, so that the held-out inputs are others."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """One artifact and what to prove about it.

    Attributes:
        folder: of the artifact.
        model: where the float model is now; None: where it was when it was converted.
        data: real data, see :func:`zsq_export.validation.data.load_labelled`; None: held-out synthetic inputs.
        preprocessing: of pictures; None: as the artifact says.
        options: what to measure, and the gates.
        samples: so many of them, spread over the data; None: all.
        fitting: how pictures come to the model's size; None: as the preprocessing says.
    """

    folder: Path
    model: Path | None = None
    data: Path | None = None
    preprocessing: Preprocessing | None = None
    options: ValidationOptions = field(default_factory=ValidationOptions)
    samples: int | None = None
    fitting: Fitting | None = None


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a device sent, and where it is."""

    results: DeviceResults
    place: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """An artifact with everything that it is proved with."""

    artifact: Artifact
    backend: Backend
    subject: Subject
    samples: Samples


def validate(verification: Verification) -> ValidationReport:
    """Measures an artifact on this machine and writes ``report.json`` and ``report.html`` into its folder.

    Returns:
        The report. A gate that failed is in it, and raises nothing.

    Raises:
        ArtifactError: the artifact is incomplete or changed, or its float model is elsewhere.
        TargetUnavailableError: the target's runtime or device is missing here.
        DataError: the data cannot be read or does not fit.
    """
    artifact = read_artifact(verification.folder)
    _require_runtime(get_backend(artifact.manifest.target))
    return _prove(verification, open_artifact(verification, artifact), None)


def validate_recorded(verification: Verification, recorded: Recorded) -> ValidationReport:
    """Like :func:`validate`, with what a device sent instead of this machine.

    Raises:
        ArtifactError: as above, or the results belong to another artifact.
        DataError: the data cannot be read, or is not what the device was given.
    """
    results = recorded.results
    artifact = read_artifact(verification.folder)
    if results.artifact_sha256 != artifact.sha256:
        raise ArtifactError(
            f"these results are not of {verification.folder} but of another artifact",
            hint="make a new bundle of it, or name the artifact that they belong to",
        )
    opened = open_artifact(replace(verification, samples=results.samples), artifact)
    known = _known_ops(opened) if opened.backend.probe().available else ()
    return _prove(verification, opened, RecordedBench(results, opened.samples, known, recorded.place))


def open_artifact(verification: Verification, artifact: Artifact) -> Opened:
    """Finds the float model and the inputs of an artifact.

    Raises:
        ArtifactError: the float model is elsewhere.
        DataError: the data cannot be read or does not fit.
    """
    plan = plan_from_json((artifact.folder / PLAN_NAME).read_text())
    backend = get_backend(artifact.manifest.target).configured(options_of(plan))
    progress = verification.options.progress
    progress("reading the float model", None)
    prepared = prepare_model(find_model(artifact, verification.model))
    progress("preparing the inputs", None)
    samples = _samples(verification, artifact, prepared)
    if verification.samples is not None:
        samples = samples.spread(verification.samples)
    return Opened(artifact=artifact, backend=backend, subject=_subject(artifact, plan, prepared), samples=samples)


def _prove(verification: Verification, opened: Opened, bench: Bench | None) -> ValidationReport:
    report = validate_artifact(opened.subject, opened.backend, opened.samples, verification.options, bench=bench)
    write_report(report, opened.artifact.folder / REPORT_NAMES[0])
    write_page(opened.artifact.folder, report)
    return report


def _known_ops(opened: Opened) -> tuple[ExecutedOp, ...]:
    return opened.backend.open(opened.subject.entry, threads=1).executed_precisions()


def held_out_inputs(prepared: PreparedModel, artifact: Artifact, *, samples: int = HELD_OUT_SAMPLES) -> SyntheticInputs:
    """Synthetic inputs that calibration did not see: pictures of the image prior from another seed.

    Inputs that take no pictures get smooth random fields.

    Args:
        prepared: the float model.
        artifact: says the seed and the input convention; the convention is detected if there is none.
        samples: how many.
    """
    manifest = artifact.manifest
    seed = manifest.seed + _HELD_OUT_SEED
    picture = sole_picture(prepared)
    if picture is None:
        return {
            entry.name: field_inputs(entry, seed=seed + index, count=samples)
            for index, entry in enumerate(prepared.inputs)
        }
    convention = manifest.preprocessing or detect_convention(prepared, picture).preprocessing
    pictures = prior_pictures(picture, seed=seed, count=samples)
    return {picture.name: picture.arrange(normalise(pictures, convention))}


def _require_runtime(backend: Backend) -> None:
    probe = backend.probe()
    if not probe.available:
        raise TargetUnavailableError(f"the target {backend.name} cannot run here", hint=probe.hint)


def _samples(verification: Verification, artifact: Artifact, prepared: PreparedModel) -> Samples:
    if verification.data is None:
        return samples_from_arrays(held_out_inputs(prepared, artifact))
    if len(prepared.inputs) != 1:
        raise DataError(f"the model has {len(prepared.inputs)} inputs, --data works with one")
    preprocessing = verification.preprocessing or artifact.manifest.preprocessing
    if preprocessing is not None and verification.fitting is not None:
        preprocessing = verification.fitting.over(preprocessing)
    return load_labelled(verification.data, prepared.inputs[0], preprocessing)


def _subject(artifact: Artifact, plan: Plan, prepared: PreparedModel) -> Subject:
    manifest, record = artifact.manifest, read_calibration_record(artifact.folder)
    return Subject(
        target=manifest.target,
        entry=artifact.entry,
        lowered_bytes=artifact.lowered_size,
        qdq=artifact.folder / QDQ_NAME,
        prepared=prepared,
        float_bytes=manifest.model.size,
        layer_reference=equalize(prepared).folded if plan.equalized else None,
        float_ops=plan.float_ops,
        provenance=_provenance(artifact),
        estimate=manifest.estimate,
        search=plan.search,
        tensors=plan.tensors,
        seen=record.seen,
        pictures=None if record.pictures is None else record.pictures.name,
    )


def _provenance(artifact: Artifact) -> tuple[tuple[str, str], ...]:
    manifest = artifact.manifest
    calibration, convention = manifest.calibration, manifest.preprocessing
    taken = {"calibrator", "seed", *(name for name, _ in calibration.settings)}
    return (
        ("calibrator", calibration.calibrator),
        ("seed", str(manifest.seed)),
        ("calibration samples", str(calibration.samples)),
        ("input convention", f"{convention.name} ({convention.origin.value})" if convention else "none"),
        *calibration.settings,
        *((f"{name} (option)" if name in taken else name, value) for name, value in manifest.options),
    )
