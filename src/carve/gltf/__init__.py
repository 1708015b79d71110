"""glTF: buffers, checks, reading, writing."""
