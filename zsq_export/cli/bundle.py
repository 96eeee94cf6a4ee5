"""``zsq-export bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zsq_export.cli.console import Console
from zsq_export.cli.options import (
    batch_sizes_option,
    console_options,
    file_path,
    folder_path,
    no_latency_option,
    overwrite_option,
    threads_list_option,
)
from zsq_export.cli.preprocessing_options import fitting_options, preprocessing_options

if TYPE_CHECKING:
    from zsq_export.preprocessing import Fitting, Preprocessing


@click.command(short_help="Pack an artifact for validation on a device.")
@click.argument("artifact", type=folder_path)
@click.option("-o", "--output", type=file_path, help="The zip file. [default: ARTIFACT.zip beside it]")
@click.option("--model", type=file_path, help="The float model, if it is no longer where it was converted.")
@click.option("--data", type=folder_path, help="Labelled data: class folders, .npz with x and y, COCO, pairs.")
@preprocessing_options
@fitting_options
@click.option("--samples", type=click.IntRange(min=1), help="At most so many. [default: 256, and below 128 MiB]")
@batch_sizes_option
@no_latency_option
@threads_list_option
@overwrite_option
@console_options
def command(
    *,
    artifact: Path,
    output: Path | None,
    model: Path | None,
    data: Path | None,
    preprocessing: Preprocessing | None,
    fitting: Fitting | None,
    samples: int | None,
    batch_sizes: tuple[int, ...],
    no_latency: bool,
    threads: tuple[int, ...],
    overwrite: bool,
    console: Console,
) -> None:
    """Pack ARTIFACT with the float model, inputs and a runner into one zip file.

    On the device, which needs Python 3.10, NumPy and the target's runtime only:

    \b
      unzip bundle.zip -d bundle && python bundle/run.py --json > results.json

    Back here: `zsq-export validate ARTIFACT --results results.json`.
    """
    from dataclasses import asdict

    from zsq_export.bundle.build import build_bundle
    from zsq_export.bundle.samples import SampleLimit
    from zsq_export.validation.latency import LatencyOptions
    from zsq_export.validation.validate import ValidationOptions
    from zsq_export.verification import Verification

    destination = output or artifact.resolve().with_name(f"{artifact.resolve().name}.zip")
    latency = None if no_latency else LatencyOptions.of(batch_sizes, threads)
    with console.progress() as progress:
        options = ValidationOptions(latency=latency, threads=threads[0] if threads else None, progress=progress)
        spec = build_bundle(
            Verification(
                folder=artifact, model=model, data=data, preprocessing=preprocessing, fitting=fitting, options=options
            ),
            destination,
            limit=SampleLimit(most=samples),
            overwrite=overwrite,
        )
    payload = {"bundle": str(destination), **asdict(spec)}
    size = destination.stat().st_size / 1e6
    console.result(
        lambda: payload,
        lambda: console.say(f"{destination}: {size:.1f} MB, {spec.samples} samples, target {spec.target}"),
    )
    console.say("on the device: unzip it, then `python run.py --json > results.json`")
    console.say(f"back here: zsq-export validate {artifact} --results results.json")
