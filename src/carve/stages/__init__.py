"""The stages, each one function from records to the next record; no stage imports another and none touches files."""
