"""Synthetic frontal radiographs in the layout of NIH ChestX-ray14."""
