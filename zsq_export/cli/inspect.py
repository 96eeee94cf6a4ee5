"""``zsq-export inspect``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zsq_export.cli.console import Console
from zsq_export.cli.options import console_options, model_argument, target_option
from zsq_export.cli.wording import size

if TYPE_CHECKING:
    from zsq_export.inspection import Inspection, TargetFit, TensorSummary


@click.command(short_help="Say what a model is and what would stay float.")
@model_argument
@target_option(multiple=True, required=False)
@console_options
def command(*, model: Path, targets: tuple[str, ...], console: Console) -> None:
    """Say what MODEL is, which calibrators apply, and what each target would leave in float."""
    from zsq_export.inspection import inspect_model

    inspection = inspect_model(model, targets)
    console.result(lambda: _payload(inspection), lambda: _print(inspection, console))


def _payload(inspection: Inspection) -> dict[str, Any]:
    return asdict(inspection) | {"op_counts": dict(inspection.op_counts)}


def _print(inspection: Inspection, console: Console) -> None:
    console.say(
        f"{inspection.file}: {size(inspection.size)}, opset {inspection.opset}, by {inspection.producer or '?'}"
    )
    for kind, tensors in (("input", inspection.inputs), ("output", inspection.outputs)):
        for tensor in tensors:
            console.say(f"  {kind:<7} {_tensor(tensor)}")
    console.say(
        f"  {inspection.parameters:,} parameters, {inspection.macs / 1e6:,.1f} million MACs per sample, "
        f"{inspection.batchnorms} BatchNorm layers"
    )
    console.say(f"  ops: {', '.join(f'{count} {op}' for op, count in inspection.op_counts)}")
    if inspection.hint:
        console.say(f"hint: {inspection.hint}")
    rows = [(fit.name, "no" if fit.obstacle else "yes", fit.obstacle or fit.summary) for fit in inspection.calibrators]
    console.table(("calibrator", "applies", ""), rows)
    for fit in inspection.targets:
        _print_target(fit, console)


def _tensor(tensor: TensorSummary) -> str:
    sides = ", ".join("?" if side is None else str(side) for side in tensor.shape)
    return f"{tensor.name} {tensor.dtype} [{sides}]"


def _print_target(fit: TargetFit, console: Console) -> None:
    if fit.problem:
        console.say(f"{fit.name}: {fit.problem}")
        return
    share = (
        "" if fit.quantized_mac_share is None else f", {100 * fit.quantized_mac_share:.1f} % of the work in integers"
    )
    console.say(f"{fit.name}: {len(fit.float_ops)} ops would stay float{share}")
    for (op_type, reason), count in Counter((op.op_type, op.reason) for op in fit.float_ops).most_common():
        console.say(f"  {count} {op_type}: {reason}")
    for op in fit.float_ops:
        console.detail(f"  {op.node} ({op.op_type}): {op.reason}")
