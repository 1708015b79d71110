"""What they wear, layer over layer."""
