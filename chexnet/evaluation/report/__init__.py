"""What a scoring says, for readers: page, model metadata, tables, plots."""
