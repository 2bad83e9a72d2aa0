"""Scoring: metrics, intervals, predictions and plots."""
