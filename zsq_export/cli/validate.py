"""``zsq-export validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zsq_export.cli.console import Console
from zsq_export.cli.options import (
    METRICS,
    batch_sizes_option,
    console_options,
    file_path,
    folder_path,
    no_latency_option,
    threads_list_option,
)
from zsq_export.cli.preprocessing_options import fitting_options, preprocessing_options
from zsq_export.cli.threads import limit_threads

if TYPE_CHECKING:
    from zsq_export.preprocessing import Fitting, Preprocessing

_METRIC_HELP = (
    f"What to measure of both models: {', '.join(METRICS)}, each also as NAME=SPEC.json, or your own as "
    "FILE.py:FUNCTION. Repeat it for several; see docs/metrics.md."
)


@click.command(short_help="Measure an artifact against its float model.")
@click.argument("artifact", type=folder_path)
@click.option("--model", type=file_path, help="The float model, if it is no longer where it was converted.")
@click.option("--data", type=folder_path, help="Labelled data: class folders, .npz with x and y, COCO, pairs.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help=_METRIC_HELP)
@preprocessing_options
@fitting_options
@click.option("--min-agreement", type=click.FloatRange(0, 100), metavar="PERCENT", help="Gate: top-1 agreement.")
@click.option(
    "--max-drop",
    "--max-accuracy-drop",
    "max_drop",
    type=float,
    metavar="POINTS",
    help="Gate: loss of the first --metric, or of top-1 accuracy.",
)
@click.option("--min-speedup", type=click.FloatRange(min=0), metavar="TIMES", help="Gate: against the best float.")
@batch_sizes_option
@no_latency_option
@click.option("--results", type=file_path, help="What a bundle's run.py --json printed on a device; see `bundle`.")
@click.option(
    "--device", metavar="URL", help="Measure there instead: ssh://user@host[:port][?python=...] or adb://SERIAL."
)
@click.option("--samples", type=click.IntRange(min=1), help="With --device: at most so many. [default: see `bundle`]")
@threads_list_option
@console_options
def command(
    *,
    artifact: Path,
    model: Path | None,
    data: Path | None,
    metrics: tuple[str, ...],
    preprocessing: Preprocessing | None,
    fitting: Fitting | None,
    min_agreement: float | None,
    max_drop: float | None,
    min_speedup: float | None,
    batch_sizes: tuple[int, ...],
    no_latency: bool,
    results: Path | None,
    device: str | None,
    samples: int | None,
    threads: tuple[int, ...],
    console: Console,
) -> None:
    """Measure ARTIFACT on this machine against its float model, and write the report into its folder.

    With --device the figures are those of another machine: a bundle of ARTIFACT is copied there, run, and removed.
    With --results they are those of a device that ran a bundle by hand.
    Without --data this measures fidelity on synthetic inputs that calibration did not see.
    """
    from zsq_export.bundle.results import read_results
    from zsq_export.bundle.samples import SampleLimit
    from zsq_export.errors import UsageError
    from zsq_export.metrics.choose import choose_metric
    from zsq_export.remote.address import parse_address
    from zsq_export.remote.measure import measure_remotely
    from zsq_export.reporting.report_json import report_to_dict
    from zsq_export.validation.gates import Gates, require_gates
    from zsq_export.validation.latency import LatencyOptions
    from zsq_export.validation.validate import ValidationOptions
    from zsq_export.verification import Recorded, Verification, validate, validate_recorded

    if max_drop is not None and data is None and not metrics:
        raise UsageError("--max-accuracy-drop needs labelled data", hint="give --data")
    chosen = tuple(choose_metric(text) for text in metrics)
    if no_latency and min_speedup is not None:
        raise UsageError("--min-speedup and --no-latency exclude each other")
    if results is not None and (threads or batch_sizes or no_latency):
        raise UsageError("--results holds what was measured", hint="give --threads and --batch-size to `bundle`")
    if results is not None and device is not None:
        raise UsageError("--results and --device exclude each other")
    if samples is not None and device is None:
        raise UsageError("--samples is for --device", hint="here all of the data is measured")
    address = None if device is None else parse_address(device)
    limit_threads(max(threads, default=None))
    gates = Gates(min_agreement=min_agreement, max_accuracy_drop=max_drop, min_speedup=min_speedup)
    latency = None if no_latency else LatencyOptions.of(batch_sizes, threads)
    with console.progress() as progress:
        options = ValidationOptions(
            gates=gates,
            latency=latency,
            threads=threads[0] if threads else None,
            metrics=chosen,
            progress=progress,
        )
        verification = Verification(
            folder=artifact, model=model, data=data, preprocessing=preprocessing, fitting=fitting, options=options
        )
        if address is not None:
            recorded = measure_remotely(verification, address, limit=SampleLimit(most=samples))
            report = validate_recorded(verification, recorded)
        elif results is not None:
            report = validate_recorded(verification, Recorded(results=read_results(results), place=str(results)))
        else:
            report = validate(verification)
    console.result(lambda: report_to_dict(report), lambda: console.report(report))
    console.say(f"report: {artifact / 'report.html'}")
    require_gates(report.gates)
