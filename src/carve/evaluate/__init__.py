"""Judging reconstructions against cases whose geometry is known; the product imports nothing of it."""
