"""The project that `mainspring bench version` runs with two versions of Mainspring."""
