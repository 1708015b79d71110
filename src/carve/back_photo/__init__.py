"""A second photo of the same person in the same clothes, seen from behind."""
