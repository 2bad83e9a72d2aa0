"""The browser demo: python -m demo."""
