"""Parts of the stage normals: detail at the photo's own resolution, and depth of the user's own."""
