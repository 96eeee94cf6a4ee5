"""One operator set for everything that follows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnx_ir as ir

from zsq_export.errors import ModelError

TARGET_OPSET = 17
OLDEST_OPSET = 11
NEWEST_IR_VERSION = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}
_DEFAULT_DOMAIN = ""
_ALIAS_DOMAIN = "ai.onnx"


def check_opset(model: ir.Model) -> None:
    """The standard operator set is one that can be read here.

    Raises:
        ModelError: older than opset 11, or newer than the installed onnx package knows.
    """
    current, newest = _merge_alias(model), onnx.defs.onnx_opset_version()
    if current < OLDEST_OPSET:
        raise ModelError(
            f"the model uses operator set {current}; {OLDEST_OPSET} or later is needed",
            hint=f"export it again, e.g. torch.onnx.export(..., opset_version={TARGET_OPSET})",
        )
    if current > newest:
        raise ModelError(
            f"the model uses operator set {current}; this installation knows up to {newest}",
            hint=f"upgrade the onnx package, or export again with opset {TARGET_OPSET}",
        )


def upgrade_opset(model: ir.Model, target: int = TARGET_OPSET) -> None:
    """Raises the standard operator set to ``target``; a newer model stays as it is.

    The conversion itself is the onnx package's version converter, driven by onnxscript.

    Raises:
        ModelError: see :func:`check_opset`, or the converter does not know how.
    """
    check_opset(model)
    current = model.opset_imports[_DEFAULT_DOMAIN]
    if current < target:
        _convert(model, current, target)
    model.ir_version = max(model.ir_version, NEWEST_IR_VERSION.get(model.opset_imports[_DEFAULT_DOMAIN], 0))


def _merge_alias(model: ir.Model) -> int:
    """ "ai.onnx" is the other spelling of the standard domain; keeps one of the two."""
    imports = model.graph.opset_imports
    if _ALIAS_DOMAIN in imports:
        imports.setdefault(_DEFAULT_DOMAIN, imports.pop(_ALIAS_DOMAIN))
    return imports.setdefault(_DEFAULT_DOMAIN, 1)


def _convert(model: ir.Model, current: int, target: int) -> None:
    from onnxscript import version_converter

    with _converter_messages() as messages:
        version_converter.convert_version(model, target, fallback=True)
    if model.opset_imports.get(_DEFAULT_DOMAIN) != target:
        reason = messages[-1].splitlines()[0] if messages else "no reason given"
        raise ModelError(
            f"operator set {current} cannot be converted to {target}: {reason}",
            hint=f"export the model again with opset {target}",
        )


@contextmanager
def _converter_messages() -> Iterator[list[str]]:
    """Keeps the converter's log off the terminal and hands its failure reasons over."""
    messages: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1]:
                messages.append(str(record.exc_info[1]))

    logger = logging.getLogger("onnxscript.version_converter")
    handler, propagate = Collect(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
