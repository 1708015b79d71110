"""Charts and atlases of textures."""
