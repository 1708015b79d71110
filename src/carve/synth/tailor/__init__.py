"""Garments made from the wearer's body: no asset is needed."""
