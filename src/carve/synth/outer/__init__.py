"""The exact outer surface of all layers."""
