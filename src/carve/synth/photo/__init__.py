"""A photograph drawn from a view: light, backdrop, camera."""
