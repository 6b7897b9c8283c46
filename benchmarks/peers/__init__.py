"""Programs of others, in an environment of their own (var/bench-venv), doing the same work."""
