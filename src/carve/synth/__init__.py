"""Synthetic people: bodies dressed, draped, posed and photographed, with exact truth. The product never imports this wing."""
