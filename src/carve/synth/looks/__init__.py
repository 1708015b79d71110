"""Colours of skin and cloth."""
