"""The search for pipelines: which are tried, how good they are, and which none beats."""
