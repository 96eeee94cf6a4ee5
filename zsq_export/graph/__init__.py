"""ONNX files in and out; nothing of quantization."""
