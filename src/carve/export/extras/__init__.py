"""Faces, hulls and cloth that go with an avatar."""
