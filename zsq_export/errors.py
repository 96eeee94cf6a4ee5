"""The one exception family. Each message names the thing, says what was expected and what to do."""

from __future__ import annotations


class ZsqError(Exception):
    """A mistake or limit the user can act on; shown as one line, never as a traceback.

    Args:
        message: what is wrong, naming the node, tensor, file or option.
        hint: what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(ZsqError):
    """An option or argument that cannot be meant as written."""

    exit_code = 2


class ModelError(ZsqError):
    """The model file cannot be read, or cannot be quantized as it is."""


class UnsupportedOpError(ModelError):
    """An operator (or an attribute value of one) that this part of the project does not implement."""


class KernelMissingError(ModelError):
    """A target's compiler has no kernel for nodes as they are typed.

    Args:
        message: what the compiler says.
        nodes: names that it mentions; those that are quantized can be given back to float.
    """

    def __init__(self, message: str, *, nodes: tuple[str, ...], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.nodes = nodes


class CalibrationError(ZsqError):
    """The calibrator cannot work on this model, or a saved calibration does not belong to it."""


class PlanError(ZsqError):
    """A plan that is malformed or does not fit the model or the target."""


class DataError(ZsqError):
    """Labelled or calibration data that cannot be read or does not fit the model's input."""


class ArtifactError(ZsqError):
    """An artifact folder that is missing, incomplete, changed, or in the way."""


class GateFailedError(ZsqError):
    """A measured figure is beyond its limit."""

    exit_code = 3


class TargetUnavailableError(ZsqError):
    """The target's runtime or device is missing here."""

    exit_code = 4


class RemoteError(ZsqError):
    """A device that was reached, and on which something failed: its disk is full, or it takes too long."""
