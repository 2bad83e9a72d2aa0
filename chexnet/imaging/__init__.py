"""Any X-ray file to pixels, or a refusal."""
