"""Models that give one picture or clip a number: how well it fits its prompt, how it looks."""
