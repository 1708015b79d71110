"""Parametric body models behind one small interface."""
