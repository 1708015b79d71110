"""`carve batch`: many photos, one after the other or side by side, here or on a cluster."""
