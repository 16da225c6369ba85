"""Tests with real processes, signals and files."""
