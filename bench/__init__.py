"""Measures nexus against what users would pick instead; see README.md."""
