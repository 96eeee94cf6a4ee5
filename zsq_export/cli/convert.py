"""``zsq-export convert``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zsq_export.cli.calibration_options import CALIBRATION_NAMES, calibration_options
from zsq_export.cli.console import Console
from zsq_export.cli.options import (
    console_options,
    file_path,
    folder_path,
    model_argument,
    overwrite_option,
    refuse_with,
    target_option,
    threads_option,
)
from zsq_export.cli.planning_options import PLANNING_NAMES, planning_options
from zsq_export.cli.search_options import (
    SearchGoal,
    describe_estimate,
    describe_outcome,
    payload_of,
    search_options,
)
from zsq_export.cli.target_options import target_options
from zsq_export.cli.threads import limit_threads
from zsq_export.cli.wording import describe_convention, size

if TYPE_CHECKING:
    from zsq_export.artifact import Artifact
    from zsq_export.backends.options import TargetOptions
    from zsq_export.options import CalibrationOptions
    from zsq_export.pipeline import Conversion
    from zsq_export.planning.options import PlanOptions
    from zsq_export.progress import Progress
    from zsq_export.search.outcome import Outcome


@click.command(short_help="Quantize a model without data and lower it.")
@model_argument
@target_option(multiple=True, required=True)
@click.option("-o", "--output", type=folder_path, help="Folder of the artifact. [default: MODEL-TARGET]")
@click.option("--calibration", "saved_calibration", type=file_path, help="A saved calibration instead of a new one.")
@click.option("--plan", "saved_plan", type=file_path, help="A saved (and edited) plan instead of a new one.")
@calibration_options
@planning_options
@target_options
@search_options
@click.option("--estimate/--no-estimate", default=True, show_default=True, help="Predict the agreement on real data.")
@threads_option
@overwrite_option
@console_options
def command(
    *,
    model: Path,
    targets: tuple[str, ...],
    output: Path | None,
    saved_calibration: Path | None,
    saved_plan: Path | None,
    calibration: CalibrationOptions,
    planning: PlanOptions,
    options: TargetOptions,
    goal: SearchGoal | None,
    estimate: bool,
    threads: int | None,
    overwrite: bool,
    console: Console,
) -> None:
    """Quantize MODEL without data and lower it for one or several targets.

    With --search, whose gates are judged on synthetic inputs and on the target's own latency, the best plan is written
    even where no plan holds them; the exit code is then 3. A search that was stopped goes on when it is called again.
    """
    from zsq_export.pipeline import Conversion

    refuse_with("--calibration", saved_calibration, CALIBRATION_NAMES)
    refuse_with("--plan", saved_plan, PLANNING_NAMES)
    limit_threads(threads)
    conversion = Conversion(
        model=model,
        targets=targets,
        output=output or default_output(model, targets),
        calibration=calibration,
        planning=planning,
        target_options=options,
        saved_calibration=saved_calibration,
        saved_plan=saved_plan,
        overwrite=overwrite,
        estimate=estimate,
    )
    with console.progress() as progress:
        artifacts, outcomes = _convert(conversion, goal, threads, progress)
    console.result(lambda: _payload(artifacts, outcomes), lambda: _describe(artifacts, outcomes, console))
    if outcomes:
        from zsq_export.search.run import require_outcomes

        require_outcomes(outcomes)


def _convert(
    conversion: Conversion, goal: SearchGoal | None, threads: int | None, progress: Progress
) -> tuple[tuple[Artifact, ...], Mapping[str, Outcome]]:
    if goal is None:
        from zsq_export.pipeline import convert

        return convert(conversion, progress), {}
    from zsq_export.search.run import convert_with_search

    searched = convert_with_search(conversion, goal.options(threads), progress)
    return searched.artifacts, searched.outcomes


def default_output(model: Path, targets: tuple[str, ...]) -> Path:
    """``MODEL-TARGET`` in the working folder for one target, ``MODEL-zsq`` with a folder per target for several."""
    return Path(f"{model.stem}-{targets[0] if len(targets) == 1 else 'zsq'}")


def _payload(artifacts: tuple[Artifact, ...], outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    import json

    searches = {"searches": payload_of(outcomes)} if outcomes else {}
    return searches | {
        "artifacts": [
            {
                "folder": str(artifact.folder),
                "entry": str(artifact.entry),
                "lowered_bytes": artifact.lowered_size,
                "manifest": json.loads(artifact.manifest.to_json()),
            }
            for artifact in artifacts
        ]
    }


def _describe(artifacts: tuple[Artifact, ...], outcomes: Mapping[str, Outcome], console: Console) -> None:
    manifest = artifacts[0].manifest
    calibration = manifest.calibration
    console.say(f"calibrated with {calibration.calibrator}, {calibration.samples} samples, seed {manifest.seed}")
    console.say(f"input convention: {describe_convention(manifest.preprocessing)}")
    for note in calibration.notes:
        console.say(f"note: {note}")
    for artifact in artifacts:
        name = artifact.manifest.target
        for note in artifact.manifest.notes:
            console.say(f"{name}: note: {note}")
        if name in outcomes:
            describe_outcome(name, outcomes[name], console)
        if artifact.manifest.estimate is not None:
            console.say(f"{name}: {describe_estimate(artifact.manifest.estimate)}")
        before, after = manifest.model.size, artifact.lowered_size
        console.say(f"{name}: {artifact.folder} ({size(before)} -> {size(after)})")
    console.say(f"next: zsq-export validate {artifacts[0].folder}")
