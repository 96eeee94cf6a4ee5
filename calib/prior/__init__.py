"""Procedural natural images."""
