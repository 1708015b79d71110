"""Solid hair, brows and beards."""
