"""Motions: read from files, put on a skeleton, planted on the ground."""
