"""Run a graph: ONNX Runtime with taps, and a differentiable PyTorch executor."""
