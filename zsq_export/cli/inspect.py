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
    from zsq_export.inspection_of_qdq import QdqInspection


@click.command(short_help="Say what a model is and what would stay float.")
@model_argument
@target_option(multiple=True, required=False)
@console_options
def command(*, model: Path, targets: tuple[str, ...], console: Console) -> None:
    """Say what MODEL is, which calibrators apply, and what each target would leave in float.

    Of a model that is quantized already: where it breaks the rules of each target that has some.
    """
    from zsq_export.backends.registry import get_backend
    from zsq_export.graph.quantized import is_quantized
    from zsq_export.graph.reading import read_proto
    from zsq_export.inspection import inspect_model
    from zsq_export.inspection_of_qdq import inspect_qdq

    for name in targets:
        get_backend(name)
    if is_quantized(read_proto(model)):
        quantized = inspect_qdq(model, targets)
        payload = asdict(quantized) | {"op_counts": dict(quantized.op_counts)}
        console.result(lambda: payload, lambda: _print_quantized(quantized, console))
        return
    inspection = inspect_model(model, targets)
    console.result(lambda: _payload(inspection), lambda: _print(inspection, console))


def _payload(inspection: Inspection) -> dict[str, Any]:
    return asdict(inspection) | {"op_counts": dict(inspection.op_counts)}


def _print_quantized(inspection: QdqInspection, console: Console) -> None:
    producer = inspection.producer or "?"
    console.say(f"{inspection.file}: {size(inspection.size)}, opset {inspection.opset}, by {producer}, quantized")
    console.say(f"  ops: {', '.join(f'{count} {op}' for op, count in inspection.op_counts)}")
    for report in inspection.targets:
        if report.problem:
            console.say(f"{report.name}: {report.problem}")
            continue
        kinds = Counter(item.rule for item in report.violations)
        found = ", ".join(f"{count} {rule}" for rule, count in kinds.most_common())
        console.say(f"{report.name}: {found or 'no rule is broken'}")
        for item in report.violations:
            console.say(f"  {item.node} ({item.op_type}): {item.message} [{item.rule}]")


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
