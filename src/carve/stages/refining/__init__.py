"""Parts of the stage refine: a signed distance that is fitted to the maps."""
