"""Training: one loop, exact resume."""
