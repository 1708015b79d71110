"""The pieces of the stage `texture`."""
