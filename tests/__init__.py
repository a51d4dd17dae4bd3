"""All tests. Each suite has a folder; ``support`` is shared."""
