"""Builds a bundle: artifact, float model, inputs, the float model's outputs, and the runner, in one zip file."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zsq_export.artifact import PREPROCESSING_NAME, read_artifact
from zsq_export.atomic import check_new_file, write_file
from zsq_export.backends.base import Portable
from zsq_export.bundle.samples import SampleLimit, limit_samples
from zsq_export.device.arrays import hash_arrays, to_pixels
from zsq_export.device.batches import run_all
from zsq_export.device.runtimes import supported_targets
from zsq_export.device.spec import SPEC_NAME, BundleSpec, Pixels, TensorFile, Timing, file_sha256
from zsq_export.errors import UsageError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.imaging import pixels_of
from zsq_export.preprocessing import Preprocessing
from zsq_export.validation.bench import latency_points
from zsq_export.validation.running import choose_batch, fixed_batch
from zsq_export.validation.samples import Samples
from zsq_export.verification import Opened, Verification, open_artifact

RUNNER_PACKAGE = "zsq_device"
_RUN = "run.py"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o644 << 16


def build_bundle(
    verification: Verification, destination: Path, *, limit: SampleLimit | None = None, overwrite: bool = False
) -> BundleSpec:
    """Writes the bundle of an artifact; the same artifact and inputs give the same bytes.

    Args:
        verification: artifact, float model, data, and what to measure. Its gates are not used.
        destination: the zip file.
        limit: how many samples at most.
        overwrite: replace a file that exists.

    Returns:
        What ``bundle.json`` says.

    Raises:
        ArtifactError: the artifact is incomplete or changed, its float model is elsewhere, or the file exists.
        DataError: the data cannot be read or does not fit.
        TargetUnavailableError: what writes the float model in the target's format is missing here.
        UsageError: the target has no runner, or a batch size does not fit the model.
    """
    check_new_file(destination, overwrite=overwrite)
    artifact = read_artifact(verification.folder)
    opened = open_artifact(verification, artifact)
    if opened.subject.target not in supported_targets() or not isinstance(opened.backend, Portable):
        raise UsageError(
            f"there is no bundle for the target {opened.subject.target}",
            hint=f"there is one for {', '.join(supported_targets())}; use `zsq-export validate` on the device itself",
        )
    progress = verification.options.progress
    with tempfile.TemporaryDirectory(prefix="zsq-bundle-") as scratch:
        folder, packed = Path(scratch) / "bundle", Path(scratch) / "bundle.zip"
        folder.mkdir()
        progress("writing the models", None)
        quantized, floats = _write_models(folder, opened, opened.backend)
        progress("computing the float model's outputs", None)
        spec = _write_arrays(folder, verification, opened, limit or SampleLimit())
        spec = replace(spec, quantized=quantized, floats=floats, files=_hashes(folder))
        (folder / SPEC_NAME).write_text(spec.to_json())
        _copy_runner(folder)
        progress("packing", None)
        pack(folder, packed)
        write_file(destination, packed.read_bytes(), overwrite=overwrite)
    return spec


def pack(folder: Path, destination: Path) -> None:
    """All files below a folder as a zip file without times or owners."""
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    with zipfile.ZipFile(destination, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _FILE_MODE
            with archive.open(entry, "w", force_zip64=True) as packed, (folder / name).open("rb") as file:
                shutil.copyfileobj(file, packed)


def _write_models(folder: Path, opened: Opened, backend: Portable) -> tuple[str, str]:
    """The quantized and the float model; gives the files to open."""
    manifest = opened.artifact.manifest
    for place in ("model", "float"):
        (folder / place).mkdir()
    for name in manifest.lowered:
        target = folder / "model" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(opened.artifact.folder / name, target)
    names = backend.save_float(opened.subject.prepared.folded, folder / "float")
    return f"model/{manifest.entry}", f"float/{names[0]}"


def _write_arrays(folder: Path, verification: Verification, opened: Opened, limit: SampleLimit) -> BundleSpec:
    subject, validation = opened.subject, verification.options
    reference = OrtSession(subject.prepared.source.path, threads=validation.threads)
    samples = limit_samples(opened.samples, reference, limit, fixed_batch=fixed_batch(subject.prepared.inputs))
    batch_size = choose_batch(samples, subject.prepared.inputs, reference.run)
    convention = verification.preprocessing or opened.artifact.manifest.preprocessing
    inputs = samples.read(range(len(samples)))
    outputs = run_all(reference.run, inputs, batch_size)
    if convention is not None:
        (folder / PREPROCESSING_NAME).write_text(convention.to_json())
    stored, pixels = _as_pixels(inputs, convention)
    return BundleSpec(
        target=subject.target,
        model=subject.prepared.source.path.name,
        artifact_sha256=opened.artifact.sha256,
        quantized="",
        floats="",
        samples=len(samples),
        batch_size=batch_size,
        threads=validation.threads or 0,
        inputs=_save_arrays(folder, "inputs", stored),
        inputs_sha256=hash_arrays(inputs),
        reference=_save_arrays(folder, "reference", outputs),
        labels=_save_labels(folder, samples),
        pixels=pixels,
        timing=_timing(opened, verification),
        files={},
    )


def _timing(opened: Opened, verification: Verification) -> Timing:
    latency, threads = verification.options.latency, verification.options.threads
    points = latency_points(opened.subject.prepared.inputs, latency, threads)
    if latency is None:
        return Timing(batch_sizes=(), threads=(), seconds=0.0, most_seconds=0.0, most_rounds=0, seed=0)
    timing = latency.timing
    return Timing(
        batch_sizes=tuple(dict.fromkeys(size for size, _ in points)),
        threads=tuple(dict.fromkeys(count or 0 for _, count in points)),
        seconds=timing.seconds,
        most_seconds=timing.most_seconds,
        most_rounds=timing.most_rounds,
        seed=timing.seed,
    )


def _as_pixels(
    inputs: Mapping[str, NDArray[np.float32]], convention: Preprocessing | None
) -> tuple[Mapping[str, NDArray[np.float32] | NDArray[np.uint8]], Pixels | None]:
    """Inputs that are 8-bit pictures under the convention, as such: a quarter of the size."""
    if convention is None or len(inputs) != 1:
        return inputs, None
    pixels = pixels_of(convention)
    name, values = next(iter(inputs.items()))
    found = to_pixels(values, pixels)
    return (inputs, None) if found is None else ({name: found}, pixels)


def _save_arrays(
    folder: Path, place: str, arrays: Mapping[str, NDArray[np.float32] | NDArray[np.uint8]]
) -> tuple[TensorFile, ...]:
    (folder / place).mkdir()
    entries: Sequence[TensorFile] = [
        TensorFile(name=name, file=f"{place}/{index}.npy") for index, name in enumerate(arrays)
    ]
    for entry in entries:
        np.save(folder / entry.file, arrays[entry.name])
    return tuple(entries)


def _save_labels(folder: Path, samples: Samples) -> str:
    if samples.labels is None:
        return ""
    np.save(folder / "labels.npy", samples.labels)
    return "labels.npy"


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file_sha256(file) for file in files}


def _copy_runner(folder: Path) -> None:
    (folder / RUNNER_PACKAGE).mkdir()
    for source in resources.files("zsq_export.device").iterdir():
        if source.name.endswith(".py"):
            target = folder / _RUN if source.name == _RUN else folder / RUNNER_PACKAGE / source.name
            target.write_bytes(source.read_bytes())
