"""Learned parts: detectors that come with a dependency, and carve's own networks with their weights."""
