"""A differentiable PyTorch executor of ONNX graphs: one small file per group of operators."""

from zsq_export.execution.torch_executor.executor import TorchExecutor, Trace

__all__ = ["TorchExecutor", "Trace"]
