"""``zsq-export calibrate``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zsq_export.cli.calibration_options import calibration_options
from zsq_export.cli.console import Console
from zsq_export.cli.options import console_options, file_path, model_argument, overwrite_option, threads_option
from zsq_export.cli.threads import limit_threads
from zsq_export.cli.wording import describe_convention

if TYPE_CHECKING:
    from zsq_export.calib.base import CalibrationResult
    from zsq_export.options import CalibrationOptions


@click.command(short_help="Gather statistics once, for any target.")
@model_argument
@click.option("-o", "--output", type=file_path, help="File to write. [default: MODEL.calibration.npz]")
@calibration_options
@threads_option
@overwrite_option
@console_options
def command(
    *,
    model: Path,
    output: Path | None,
    calibration: CalibrationOptions,
    threads: int | None,
    overwrite: bool,
    console: Console,
) -> None:
    """Gather the statistics of MODEL once, for any target, and save them."""
    from zsq_export.atomic import check_new_file
    from zsq_export.calib.saved import save_calibration
    from zsq_export.pipeline import calibrate

    limit_threads(threads)
    path = output or Path(f"{model.stem}.calibration.npz")
    check_new_file(path, overwrite=overwrite)
    with console.progress() as progress:
        calibrated = calibrate(model, calibration, progress)
    save_calibration(calibrated.result, path, calibrated.prepared, overwrite=overwrite)
    console.result(
        lambda: _payload(calibrated.result, path), lambda: _describe(calibrated.result, model, path, console)
    )


def _payload(result: CalibrationResult, path: Path) -> dict[str, Any]:
    provenance = asdict(result.provenance)
    for name in ("settings", "final_losses"):
        provenance[name] = dict(provenance[name])
    return {
        "file": str(path),
        "tensors": len(result.statistics),
        "preprocessing": asdict(result.preprocessing) if result.preprocessing else None,
        "provenance": provenance,
    }


def _describe(result: CalibrationResult, model: Path, path: Path, console: Console) -> None:
    provenance = result.provenance
    console.say(
        f"calibrated {len(result.statistics)} tensors with {provenance.calibrator}, {provenance.samples} samples, "
        f"seed {provenance.seed}: {path}"
    )
    console.say(f"input convention: {describe_convention(result.preprocessing)}")
    for note in provenance.notes:
        console.say(f"note: {note}")
    console.say(f"next: zsq-export convert {model} --calibration {path} --target TARGET")
