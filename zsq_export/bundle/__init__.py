"""Validation bundles: everything that a device needs to prove an artifact, and what it sends back."""
