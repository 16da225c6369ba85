"""One suite for all backends: what every one of them promises."""
