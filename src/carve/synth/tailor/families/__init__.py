"""Families of garments as data (`families.every.FAMILIES`)."""
