"""A differentiable PyTorch executor of ONNX graphs."""
