"""Folds of skinned cloth, piece by piece; `wear.wrinkles` puts them together."""
