"""Pictures as arrays: windows, colour, sampling, shading."""
