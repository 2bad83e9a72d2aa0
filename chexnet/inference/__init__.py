"""From an image file to probabilities and heatmaps."""
