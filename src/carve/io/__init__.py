"""Files: photos in, run folders, meshes and motion out."""
