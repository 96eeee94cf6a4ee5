"""The targets there are; another distribution adds one by the entry point ``zsq_export.backends``."""

from __future__ import annotations

from typing import cast

from zsq_export.backends.base import Backend
from zsq_export.plugins import Registry

_BACKENDS = Registry(group="zsq_export.backends", kind="target")


def backend_names() -> tuple[str, ...]:
    """Registered names, sorted; imports none of them."""
    return _BACKENDS.names()


def get_backend(name: str) -> Backend:
    """A new instance of the backend registered as ``name``.

    Raises:
        UsageError: no such target; the hint has the nearest name.
        ZsqError: it is registered, but its module cannot be imported.
    """
    return cast(Backend, _BACKENDS.get(name))
