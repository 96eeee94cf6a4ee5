"""What TensorRT says: it has one logger per process, and most of its errors are nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

ERROR = 1
"""Severities count up from 0, an internal error, and 1, an error, to 4."""

_NODE = re.compile(r"(?:for node|operation|of node|[Nn]ode name:|Layer:) *[{'\"]?([^\s{}'\",\]]+)")
_PREFIX = re.compile(r"^\w[\w:]*: Error Code \d+: ")
_PLACE = re.compile(r"\s*(?:In|At) \S+ at \S+:\d+\)?|\[\w+\.cpp:\d+:? ?\w*\]:? ?|\[checkMacros.*$|[;(]\s*$")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One line of the log."""

    severity: int
    text: str


def errors_of(messages: list[Message]) -> list[str]:
    """The errors, without codes and source positions; what only follows from another one is left out."""
    texts = (message.text for message in messages if message.severity <= ERROR)
    cleaned = (_clean(text) for text in texts if "catchCudaError" not in text)
    return list(dict.fromkeys(text for text in cleaned if text))


def named_nodes(texts: list[str]) -> list[str]:
    """Names of nodes that error messages mention, each once."""
    return list(dict.fromkeys(name for text in texts for name in _NODE.findall(text)))


def _clean(text: str) -> str:
    first = _PREFIX.sub("", " ".join(text.split()))
    return _PLACE.sub("", _PLACE.sub("", first)).strip(" ;(")


@contextmanager
def listening(module: ModuleType) -> Iterator[list[Message]]:
    """Collects what the package logs; the list grows while the context is open."""
    logger = logger_of(module)
    before, logger.messages = logger.messages, []
    try:
        yield logger.messages
    finally:
        logger.messages = before


@cache
def logger_of(module: ModuleType) -> Any:
    """The process's logger of the package; it keeps messages for :func:`listening` and prints nothing."""

    class Collector(module.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.messages: list[Message] = []

        def log(self, severity: Any, text: str) -> None:
            self.messages.append(Message(severity=int(severity), text=text))

    return Collector()
