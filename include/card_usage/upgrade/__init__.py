"""Upgrade: cards for patients of the hospital, in batches (document 2.5, 3.2.9)."""
