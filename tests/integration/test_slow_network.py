"""The slow network: it delays, it loses nothing, and it does not throttle."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest

from mainspring.bench.slow_network import SlowNetwork

MEGABYTE = bytes(range(256)) * 4096
DELAY = 0.02


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(2**18):
            self.request.sendall(data)


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@pytest.fixture(params=["tcp", "unix"])
def echo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A server that sends back what it gets: its host and port."""
    if request.param == "tcp":
        server = _Tcp(("127.0.0.1", 0), _Echo)
        address = server.server_address[:2]
    else:
        # As PostgreSQL names its own.
        server = _Unix(str(tmp_path / ".s.PGSQL.5432"), _Echo)
        address = (str(tmp_path), 5432)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


def connected(network: SlowNetwork) -> "closing[socket.socket]":
    return closing(socket.create_connection((network.host, network.port), timeout=20))


def receive(connection: socket.socket, number: int) -> bytes:
    parts = []
    while number > 0 and (data := connection.recv(min(number, 2**18))):
        parts.append(data)
        number -= len(data)
    return b"".join(parts)


def test_a_round_trip_takes_the_delay_twice(echo: tuple[str, int]) -> None:
    with SlowNetwork(*echo, DELAY) as network, connected(network) as connection:
        trips = []
        for _ in range(9):
            began = time.monotonic()
            connection.sendall(b"ping")
            assert receive(connection, 4) == b"ping"
            trips.append(time.monotonic() - began)
    assert min(trips) >= 2 * DELAY
    assert median(trips) < 2 * DELAY + 0.01


def test_what_is_sent_one_after_the_other_waits_at_the_same_time(echo: tuple[str, int]) -> None:
    with SlowNetwork(*echo, DELAY) as network, connected(network) as connection:
        began = time.monotonic()
        for _ in range(100):
            connection.sendall(b"x")
        assert len(receive(connection, 100)) == 100
        assert time.monotonic() - began < 10 * DELAY


def test_much_data_comes_through_whole_and_fast(echo: tuple[str, int]) -> None:
    megabytes = 40
    with SlowNetwork(*echo, 0.1) as network, connected(network) as connection:

        def send() -> None:
            for _ in range(megabytes):
                connection.sendall(MEGABYTE)
            connection.shutdown(socket.SHUT_WR)

        began = time.monotonic()
        sender = threading.Thread(target=send)
        sender.start()
        assert receive(connection, megabytes * len(MEGABYTE)) == MEGABYTE * megabytes
        seconds = time.monotonic() - began
        assert connection.recv(1) == b""  # the end comes through, too
        sender.join()
    # Twice through the proxy; a machine that has other work to do gets five times as long.
    assert 2 * megabytes / (seconds - 0.2) > 10


def test_the_end_of_a_connection_comes_through(echo: tuple[str, int]) -> None:
    with SlowNetwork(*echo, DELAY) as network:
        with connected(network) as connection:
            connection.sendall(b"last words")
            connection.shutdown(socket.SHUT_WR)
            assert receive(connection, 100) == b"last words"
        with connected(network) as connection:
            connection.sendall(b"another")
            assert receive(connection, 7) == b"another"


def test_a_server_that_is_not_there_ends_the_connection(tmp_path: Path) -> None:
    with SlowNetwork(tmp_path / "no.sock", 0, 0.0) as network, connected(network) as connection:
        assert connection.recv(1) == b""
