"""A database engine that has trouble as long as the test wants it to."""
