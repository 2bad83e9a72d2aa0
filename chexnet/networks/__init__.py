"""Published networks: what is known of each, its file read safely, and what it has seen."""
