"""Words that several commands use for the same thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsq_export.preprocessing import Preprocessing


def size(count: int) -> str:
    """Bytes for people."""
    from zsq_export.reporting import wording

    return wording.size(count)


def describe_convention(convention: Preprocessing | None) -> str:
    """One line: name, mean, std, order of planes, and who says so."""
    if convention is None:
        return "neither given nor detected"
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (convention.mean, convention.std))
    order = convention.channel_order.value.upper()
    return f"{convention.name}: (pixel/255 - [{mean}]) / [{std}], {order}, {convention.origin.value}"
