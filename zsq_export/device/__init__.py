"""What runs on the device: copied into every bundle, where it needs Python 3.10, NumPy and the target's runtime only.

It imports nothing of the rest of the package, and the package imports it where both do the same: timing, batches,
what CPU this is. Inside a bundle the folder is called ``zsq_device``.
"""
