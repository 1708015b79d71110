"""The field's data sets, read as their users download them (docs/datasets.md)."""
