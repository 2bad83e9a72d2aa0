"""What a scoring says, for readers: page, model card, tables, plots."""
