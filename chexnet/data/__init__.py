"""NIH-shaped data: tables, splits, data sets and packs."""
