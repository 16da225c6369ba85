"""An app whose module of tasks does things when it is imported: before the worker forks."""
