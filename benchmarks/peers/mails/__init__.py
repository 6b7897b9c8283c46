"""A naive app with a row and a task for each email."""
