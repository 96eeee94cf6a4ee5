"""The BatchNorm-statistics inversion generator."""
