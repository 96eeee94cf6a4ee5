"""Pure numerics of quantization: no graph, no files."""
