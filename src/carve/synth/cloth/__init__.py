"""Cloth that hangs: simulation and its library."""
