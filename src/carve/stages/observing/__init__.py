"""The pieces of the stage `observe`."""
