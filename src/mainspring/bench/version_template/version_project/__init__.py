"""The project of `mainspring bench version`, which two versions of Mainspring run."""
