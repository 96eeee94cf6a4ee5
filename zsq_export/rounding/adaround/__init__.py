"""Learned rounding, block after block, on synthetic inputs."""
