"""Normal maps and outlines into surfaces."""
