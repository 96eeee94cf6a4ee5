"""A runner of a backend around the model that :mod:`zsq_export.device` runs: here and on a device it is one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from zsq_export.backends.base import Arrays
from zsq_export.device.errors import UNAVAILABLE, DeviceError
from zsq_export.device.runtimes import LoadedModel
from zsq_export.errors import DataError, TargetUnavailableError

Model = TypeVar("Model", bound=LoadedModel)


class DeviceRunner(Generic[Model]):
    """Runs a model as a device does; what goes wrong is said in this package's own errors.

    Args:
        load: opens the model.

    Raises:
        TargetUnavailableError: the runtime refuses it.
    """

    def __init__(self, load: Callable[[], Model]) -> None:
        with translated():
            self.model = load()

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch; names and layouts are those of the ONNX model.

        Raises:
            DataError: an input is missing or has a shape that the model does not take.
        """
        with translated():
            return self.model.run(inputs)

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """A call that runs these inputs once, with nothing else in it.

        Raises:
            DataError: as :meth:`run`.
        """
        with translated():
            return self.model.bind(inputs)


@contextmanager
def translated() -> Iterator[None]:
    """Raises what the device's models say as errors of this package: 4 stays 4, everything else is the data's fault."""
    try:
        yield
    except DeviceError as error:
        if error.exit_code == UNAVAILABLE:
            raise TargetUnavailableError(str(error), hint="check `zsq-export doctor`") from error
        raise DataError(str(error)) from error
