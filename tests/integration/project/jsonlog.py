"""A log of one JSON object per line, with everything that a record carries."""

import json
import logging

_PLAIN = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """Writes a record with its extra keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(
            {
                "logger": record.name,
                "level": record.levelname,
                "message": record.getMessage(),
                "traceback": self.formatException(record.exc_info) if record.exc_info else "",
                "pid": record.process,
                "at": record.created,
                "extra": {k: v for k, v in vars(record).items() if k not in _PLAIN},
            },
            default=repr,
        )
