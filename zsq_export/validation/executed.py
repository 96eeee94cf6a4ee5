"""Sums up what a runtime says it ran."""

from __future__ import annotations

from collections.abc import Sequence

from zsq_export.backends.base import ExecutedOp
from zsq_export.validation.figures import ExecutedPrecisions, PrecisionShare

INT8_NAMES = frozenset({"i8", "u8", "int8", "uint8"})
"""How runtimes call 8-bit integers."""


def summarize_executed(ops: Sequence[ExecutedOp]) -> ExecutedPrecisions:
    """Shares of the multiply-accumulates per precision.

    Args:
        ops: as :meth:`zsq_export.backends.base.Runner.executed_precisions` gives them.
    """
    total = sum(op.macs for op in ops)
    int8 = sum(op.macs for op in ops if op.precision.lower() in INT8_NAMES)
    precisions = dict.fromkeys(op.precision for op in ops)
    shares = [_share(precision, ops, total) for precision in precisions]
    return ExecutedPrecisions(
        int8_mac_share=int8 / total if total else None,
        shares=tuple(sorted(shares, key=lambda share: (-share.macs, -share.ops, share.precision))),
        ops=tuple(ops),
    )


def _share(precision: str, ops: Sequence[ExecutedOp], total: int) -> PrecisionShare:
    own = [op for op in ops if op.precision == precision]
    macs = sum(op.macs for op in own)
    return PrecisionShare(precision=precision, macs=macs, share=macs / total if total else 0.0, ops=len(own))
