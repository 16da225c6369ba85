"""An app of tasks."""
