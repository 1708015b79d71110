"""Pure maths on arrays: frames, cameras, rotations, skinning, meshes, rasterising. NumPy and torch only."""
