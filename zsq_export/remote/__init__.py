"""Devices that are reached over SSH or adb: a bundle goes there, results come back, nothing stays."""
