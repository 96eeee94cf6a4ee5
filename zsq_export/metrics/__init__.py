"""What a model is worth: metrics beyond top-1, of the float and of the quantized model on the same samples."""
