"""Other projects' programs for the same work, in an environment of their own (var/bench-venv)."""
