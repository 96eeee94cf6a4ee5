"""A differentiable PyTorch executor of ONNX graphs: one small file per group of operators."""

from zsq_export.execution.torch_executor.executor import TorchExecutor, Trace
from zsq_export.execution.torch_executor.moments import channel_moments

__all__ = ["TorchExecutor", "Trace", "channel_moments"]
