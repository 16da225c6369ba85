"""The app whose task reads source files."""
