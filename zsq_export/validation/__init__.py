"""Fidelity, accuracy, latency and gates."""
