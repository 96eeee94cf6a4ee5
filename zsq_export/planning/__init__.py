"""Placement tables and constraints become a plan."""
