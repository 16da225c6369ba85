"""The backends: Django's interface in front (base), the storage verbs behind it (storage)."""
