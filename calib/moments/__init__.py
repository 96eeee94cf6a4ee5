"""Tensor statistics derived from BatchNorm parameters alone: no input, no forward pass."""
