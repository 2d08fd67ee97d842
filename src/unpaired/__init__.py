"""Unpaired: image restoration and synthesis learned without paired data."""

__version__ = "0.1.0"
