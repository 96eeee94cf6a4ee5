"""Calibrators: statistics from the model alone."""
