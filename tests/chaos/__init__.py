"""Killing processes at random."""
