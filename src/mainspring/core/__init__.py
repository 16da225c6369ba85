"""The types, rules and formats that everything else stands on: no I/O in here."""
