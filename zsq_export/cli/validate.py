"""``zsq-export validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zsq_export.cli.console import Console
from zsq_export.cli.options import console_options, file_path, folder_path, preprocessing_options, threads_option
from zsq_export.cli.threads import limit_threads

if TYPE_CHECKING:
    from zsq_export.preprocessing import Preprocessing


@click.command(short_help="Measure an artifact against its float model.")
@click.argument("artifact", type=folder_path)
@click.option("--model", type=file_path, help="The float model, if it is no longer where it was converted.")
@click.option("--data", type=folder_path, help="Labelled data: class folders, or .npz with x and y.")
@preprocessing_options
@click.option("--min-agreement", type=click.FloatRange(0, 100), metavar="PERCENT", help="Gate: top-1 agreement.")
@click.option("--max-accuracy-drop", type=float, metavar="POINTS", help="Gate: loss of top-1 accuracy; needs --data.")
@click.option("--min-speedup", type=click.FloatRange(min=0), metavar="TIMES", help="Gate: against the best float.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Samples per inference when timing. [default: 1]")
@click.option("--no-latency", is_flag=True, help="Do not measure latency.")
@threads_option
@console_options
def command(
    *,
    artifact: Path,
    model: Path | None,
    data: Path | None,
    preprocessing: Preprocessing | None,
    min_agreement: float | None,
    max_accuracy_drop: float | None,
    min_speedup: float | None,
    batch_size: int | None,
    no_latency: bool,
    threads: int | None,
    console: Console,
) -> None:
    """Measure ARTIFACT on this machine against its float model, and write the report into its folder.

    Without --data this measures fidelity on synthetic inputs that calibration did not see.
    """
    from zsq_export.errors import UsageError
    from zsq_export.reporting.report_json import report_to_dict
    from zsq_export.validation.gates import Gates, require_gates
    from zsq_export.validation.latency import LatencyOptions
    from zsq_export.validation.validate import ValidationOptions
    from zsq_export.verification import Verification, validate

    if max_accuracy_drop is not None and data is None:
        raise UsageError("--max-accuracy-drop needs labelled data", hint="give --data")
    if no_latency and min_speedup is not None:
        raise UsageError("--min-speedup and --no-latency exclude each other")
    limit_threads(threads)
    gates = Gates(min_agreement=min_agreement, max_accuracy_drop=max_accuracy_drop, min_speedup=min_speedup)
    latency = None if no_latency else LatencyOptions(batch_size=batch_size)
    with console.progress() as progress:
        options = ValidationOptions(gates=gates, latency=latency, threads=threads, progress=progress)
        report = validate(
            Verification(folder=artifact, model=model, data=data, preprocessing=preprocessing, options=options)
        )
    console.result(lambda: report_to_dict(report), lambda: console.report(report))
    console.say(f"report: {artifact / 'report.html'}")
    require_gates(report.gates)
