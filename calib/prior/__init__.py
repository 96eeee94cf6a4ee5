"""Procedural natural images: the drawing, and the calibrator that is nothing but the drawing."""
