"""Quantize a trained float ONNX model without data and prove it on the device."""
