"""A model made ready: once with its BatchNorms for calibration, once folded for quantization."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchNormStatistics:
    """What one BatchNormalization stored about its input while the model was trained.

    Attributes:
        node: name of the BatchNormalization node.
        input_name: the tensor that it normalises, in ``PreparedModel.with_batchnorm``.
        mean, variance: float32 [channels], running statistics of the input.
        gamma, beta: float32 [channels], so that the output has mean beta and standard deviation |gamma|.
        epsilon: added to the variance.
    """

    node: str
    input_name: str
    mean: NDArray[np.float32]
    variance: NDArray[np.float32]
    gamma: NDArray[np.float32]
    beta: NDArray[np.float32]
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class InputInfo:
    """One float input of the model.

    Attributes:
        name: of the graph input.
        shape: dimensions; None where symbolic. Axis 0 is the batch.
    """

    name: str
    shape: tuple[int | None, ...]

    @property
    def image_channels(self) -> int | None:
        """Channels if this looks like an NCHW picture (1 or 3 channels, sides of at least 8), else None."""
        if len(self.shape) != 4 or self.shape[1] not in (1, 3):
            return None
        sides = [side for side in self.shape[2:] if side is not None]
        return self.shape[1] if all(side >= 8 for side in sides) else None


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """The file a model was read from."""

    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedModel:
    """The float model in the two forms that the pipeline needs; both compute the same outputs.

    Attributes:
        source: the file.
        with_batchnorm: normalised, BatchNormalization kept. Calibrators differentiate this one.
        folded: BatchNormalization folded into the weighted ops. Planning and QDQ insertion work on this one. Tensors
            that exist in both have the same name and value.
        batchnorms: in topological order; empty where the file holds none.
        inputs: the float inputs.
        output_names: of the graph, in order.
    """

    source: SourceFile
    with_batchnorm: ir.Model
    folded: ir.Model
    batchnorms: tuple[BatchNormStatistics, ...]
    inputs: tuple[InputInfo, ...]
    output_names: tuple[str, ...]
