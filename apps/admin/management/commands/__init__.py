"""Management commands: `doctor`."""
