"""The exact versions that each rival is installed with; its own package comes first."""

from typing import Final

_DJANGO: Final = "Django==6.1.3 asgiref==3.13.0 sqlparse==0.6.1"
_PSYCOPG: Final = "psycopg==3.3.9 psycopg-binary==3.3.9 typing-extensions==4.16.0"
_REDIS: Final = "redis==8.1.0 hiredis==3.5.0"
_PYDANTIC: Final = (
    "annotated-types==0.8.0 pydantic==2.14.3 pydantic-core==2.50.4 typing-extensions==4.16.0 "
    "typing-inspection==0.4.5"
)
_TYPER: Final = (
    "annotated-doc==0.0.7 markdown-it-py==4.3.0 mdurl==0.1.2 pygments==2.21.0 rich==15.0.0 "
    "shellingham==1.5.4 typer==0.29.2"
)


def _pins(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(texts).split()))


PINS: Final = {
    "django-tasks-db": _pins("django-tasks-db==0.13.0 django-stubs-ext==6.1.2", _DJANGO, _PSYCOPG),
    "django-ox": _pins("django-ox==1.9.1", _DJANGO, _PSYCOPG),
    "dj-queue": _pins("dj-queue==0.14.2", _DJANGO, _PSYCOPG),
    "django-vtasks": _pins(
        "django-vtasks==3.2.0 croniter==7.0.0 orjson==3.13.0 psycopg-pool==3.3.3",
        "backports.zstd==1.8.0 python-dateutil==4.0.0 pyzstd==0.20.0 tzdata==2026.6",
        _DJANGO,
        _PSYCOPG,
    ),
    "procrastinate": _pins(
        "procrastinate==3.10.0 asgiref==3.13.0 attrs==26.1.0 croniter==7.0.0 packaging==26.3",
        "psycopg-pool==3.3.3 python-dateutil==4.0.0 tzdata==2026.6",
        _PSYCOPG,
    ),
    "pgqueuer": _pins(
        "pgqueuer==1.6.0 anyio==4.16.0 asyncpg==0.32.0 croniter==7.0.0 idna==3.20",
        "pydantic-settings==2.16.3 python-dateutil==4.0.0 python-dotenv==1.2.4 tabulate==0.10.0",
        "tzdata==2026.6 uvloop==0.23.0",
        _PYDANTIC,
        _TYPER,
        _PSYCOPG,
    ),
    "oban": _pins(
        "oban==0.7.0 click==8.5.1 erlpack==1.0.1 orjson==3.13.0 psycopg-pool==3.3.3 six==1.17.0",
        "uvloop==0.23.0",
        _PSYCOPG,
    ),
    "celery": _pins(
        "celery==5.7.0 amqp==5.4.2 billiard==4.3.2 click==8.5.1 click-didyoumean==0.3.1",
        "click-plugins==1.1.1.2 click-repl==0.4.1 kombu==5.7.0 packaging==26.3",
        "prompt-toolkit==3.0.53",
        "python-dateutil==2.9.0.post0 six==1.17.0 typing-extensions==4.16.0 tzlocal==5.4.5",
        "vine==5.1.0 wcwidth==0.9.4",
        _REDIS,
    ),
    "dramatiq": _pins("dramatiq==2.2.1", _REDIS),
    "huey": _pins("huey==3.5.4", _REDIS),
    "rq": _pins(
        "rq==3.0.0 click==8.5.1 croniter==7.0.0 python-dateutil==2.9.0.post0 six==1.17.0", _REDIS
    ),
    "taskiq": _pins(
        "taskiq==0.13.0 taskiq-dependencies==1.5.7 taskiq-redis==1.2.4 aiohappyeyeballs==2.7.1",
        "aiohttp==3.14.5 aiosignal==1.4.0 anyio==4.16.0 attrs==26.1.0 frozenlist==1.8.0",
        "idna==3.20 multidict==7.2.1 orjson==3.13.0 propcache==0.5.4 pycron==3.3.0",
        "uvloop==0.23.0 yarl==1.25.1",
        _PYDANTIC,
        _REDIS,
    ),
    "streaq": _pins(
        "streaq==7.2.0 anyio==4.16.0 beartype==0.23.1 coredis==6.9.0 crontab==1.0.5",
        "deprecated==3.0.1 exceptiongroup==1.3.1 idna==3.20 packaging==26.3 watchfiles==1.3.0",
        "wrapt==2.5.2",
        _PYDANTIC,
        _TYPER,
    ),
    "ardiq": _pins("ardiq==1.2.0 msgpack==1.2.4"),
    "threadmill": _pins("threadmill==0.3.1", _DJANGO, _REDIS),
}
"""By the rival's name, which is its package's."""
