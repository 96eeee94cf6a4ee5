"""Which targets there are, and what of them runs on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from zsq_export.backends.base import Probe
from zsq_export.backends.registry import backend_names, get_backend
from zsq_export.errors import ZsqError


@dataclass(frozen=True, kw_only=True)
class Target:
    """One registered backend.

    Attributes:
        name: registered name, as in ``--target``.
        summary: one line about it; "" if it cannot be loaded.
        extra: pip extra that installs its runtime, "" if none is needed.
        probe: what there is of it here.
    """

    name: str
    summary: str
    extra: str
    probe: Probe


def list_targets() -> tuple[Target, ...]:
    """All registered targets, sorted by name. Never raises for a target that is missing or broken."""
    return tuple(_target(name) for name in backend_names())


def _target(name: str) -> Target:
    try:
        backend = get_backend(name)
    except ZsqError as error:
        broken = Probe(available=False, runtime="", device="", hint=str(error))
        return Target(name=name, summary="", extra="", probe=broken)
    return Target(name=name, summary=backend.summary, extra=backend.extra, probe=backend.probe())
