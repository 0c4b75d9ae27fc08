"""Sweeps: runs that search good settings, and a few more that say how good these are."""
