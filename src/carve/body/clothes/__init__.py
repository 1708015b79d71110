"""What is worn, as geometry around the body: hems, cloth between the legs, whose space it is, shoes."""
