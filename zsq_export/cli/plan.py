"""``zsq-export plan``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zsq_export.cli.calibration_options import CALIBRATION_NAMES, calibration_options
from zsq_export.cli.console import Console
from zsq_export.cli.options import (
    console_options,
    file_path,
    model_argument,
    overwrite_option,
    refuse_with,
    target_option,
    threads_option,
)
from zsq_export.cli.planning_options import planning_options
from zsq_export.cli.target_options import target_options
from zsq_export.cli.threads import limit_threads

if TYPE_CHECKING:
    from zsq_export.backends.options import TargetOptions
    from zsq_export.options import CalibrationOptions
    from zsq_export.planning.options import PlanOptions
    from zsq_export.planning.plan import Plan


@click.command(short_help="Decide what is quantized and how, as a file to edit.")
@model_argument
@target_option(multiple=False, required=True)
@click.option("-o", "--output", type=file_path, help="File to write. [default: MODEL-TARGET.plan.json]")
@click.option("--calibration", "saved_calibration", type=file_path, help="A saved calibration instead of a new one.")
@calibration_options
@planning_options
@target_options
@threads_option
@overwrite_option
@console_options
def command(
    *,
    model: Path,
    target: str,
    output: Path | None,
    saved_calibration: Path | None,
    calibration: CalibrationOptions,
    planning: PlanOptions,
    options: TargetOptions,
    threads: int | None,
    overwrite: bool,
    console: Console,
) -> None:
    """Decide what of MODEL one target quantizes and how, as a file that can be edited."""
    from zsq_export.atomic import check_new_file, write_file
    from zsq_export.backends.registry import get_backend
    from zsq_export.pipeline import calibrate, plan_for, resume
    from zsq_export.planning.plan_json import plan_to_json

    refuse_with("--calibration", saved_calibration, CALIBRATION_NAMES)
    limit_threads(threads)
    path = output or Path(f"{model.stem}-{target}.plan.json")
    backend = get_backend(target).configured(options)
    check_new_file(path, overwrite=overwrite)
    with console.progress() as progress:
        resumed = None if saved_calibration is None else resume(model, saved_calibration)
        plan = plan_for(resumed or calibrate(model, calibration, progress), backend, planning)
    write_file(path, plan_to_json(plan).encode(), overwrite=overwrite)
    console.result(
        lambda: {"file": str(path), "target": target, "tensors": len(plan.tensors), "float_ops": len(plan.float_ops)},
        lambda: _describe(plan, model, path, saved_calibration, backend.notes, console),
    )


def _describe(
    plan: Plan, model: Path, path: Path, calibration: Path | None, notes: tuple[str, ...], console: Console
) -> None:
    counts = Counter(tensor.role.value for tensor in plan.tensors)
    kinds = ", ".join(f"{count} {role}" for role, count in sorted(counts.items()))
    what = f"{kinds or 'nothing'} in {plan.scheme.value}"
    console.say(f"planned for {plan.target}: {what}; {len(plan.float_ops)} ops stay float: {path}")
    for note in notes:
        console.say(f"note: {note}")
    for op in plan.float32_ops:
        console.say(f"float32: {op.node} ({op.op_type}): {op.reason}")
    for op in plan.float_ops:
        console.detail(f"float: {op.node} ({op.op_type}): {op.reason}")
    kept = f" --calibration {calibration}" if calibration else ""
    console.say(f"next: zsq-export convert {model} --target {plan.target} --plan {path}{kept}")
