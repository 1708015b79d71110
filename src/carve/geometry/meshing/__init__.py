"""Making, refining and thinning triangle meshes."""
