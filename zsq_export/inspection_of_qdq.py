"""What a quantized model is, and where it breaks the rules of the targets that have some."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from zsq_export.backends.base import RuleChecker, Violation
from zsq_export.backends.registry import backend_names, get_backend
from zsq_export.errors import ZsqError
from zsq_export.graph.quantized import load_quantized
from zsq_export.graph.reading import read_proto
from zsq_export.graph.source import source_size


@dataclass(frozen=True, kw_only=True)
class RuleReport:
    """What one target's rules say of the model; ``problem`` where nothing can be said."""

    name: str
    violations: tuple[Violation, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class QdqInspection:
    """See the module's docstring.

    Attributes:
        file: path as given.
        size: bytes, external data included.
        opset: of the standard operators.
        producer: program that wrote the file.
        op_counts: (op type, how many), most first.
        targets: those asked for, or all that have rules.
    """

    file: str
    size: int
    opset: int
    producer: str
    op_counts: tuple[tuple[str, int], ...]
    targets: tuple[RuleReport, ...]


def inspect_qdq(path: Path, targets: tuple[str, ...] = ()) -> QdqInspection:
    """Looks at a quantized model.

    Args:
        path: the .onnx file.
        targets: names; empty: all that have rules.

    Raises:
        UsageError: there is no such target.
        ModelError: the model cannot be read.
    """
    for name in targets:
        get_backend(name)
    proto, model = read_proto(path), load_quantized(path)
    reports = [_report(name, model) for name in targets or backend_names()]
    return QdqInspection(
        file=str(path),
        size=source_size(path),
        opset=model.opset_imports.get("", 0),
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        op_counts=tuple(Counter(node.op_type for node in proto.graph.node).most_common()),
        targets=tuple(report for report in reports if targets or not report.problem),
    )


def _report(name: str, model: ir.Model) -> RuleReport:
    try:
        backend = get_backend(name)
        if not isinstance(backend, RuleChecker):
            return RuleReport(name=name, problem="it has no rules for models that were quantized elsewhere")
        return RuleReport(name=name, violations=backend.check_rules(model))
    except ZsqError as error:
        return RuleReport(name=name, problem=str(error))
