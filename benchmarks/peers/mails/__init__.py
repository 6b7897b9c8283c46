"""An app with a row and a task for each email, as one writes it first."""
