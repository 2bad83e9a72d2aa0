"""Connections that only hold a place, and the socket they come to."""

import logging
import socket
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from chexnet.errors import ConfigError
from demo import listener, security
from demo.listener import Connection, Seldom, Server, address, listen


async def says_ok(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    size = int(scope["path"].strip("/") or 2)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"o" * size})


@contextmanager
def serving(**limits):
    with pytest.MonkeyPatch.context() as patch, listen("127.0.0.1", 0) as at:
        for name, value in limits.items():
            patch.setattr(security, name, value)
        server = Server(says_ok, at, behind_proxy=False)
        try:
            yield at.getsockname()
        finally:
            server.close()


def received(raw: socket.socket) -> int:
    """Bytes that come until the server closes a connection."""
    raw.settimeout(20)
    count = 0
    try:
        while size := len(raw.recv(2**20)):
            count += size
    except ConnectionResetError:
        pass
    return count


def test_half_sent_heads_keep_nobody_out(monkeypatch):
    monkeypatch.setattr(listener, "most_connections", lambda: 8)
    with serving(HEAD_SECONDS=600.0) as place, ExitStack() as stack:
        half = [stack.enter_context(socket.create_connection(place)) for _ in range(60)]
        for raw in half:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: a")
        for _ in range(3):
            assert httpx.get(f"http://{place[0]}:{place[1]}/").text == "oo"
        assert [received(raw) for raw in half[:50]] == [0] * 50


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_head_that_takes_too_long_ends_its_connection(before):
    with serving(HEAD_SECONDS=0.2) as place, socket.create_connection(place) as raw:
        raw.sendall(before + b"GET / HTTP/1.1\r\nX: ")
        assert received(raw) < 1000


def test_an_answer_that_nobody_reads_ends_its_connection():
    with serving(UNREAD_SECONDS=0.2) as place:
        with socket.create_connection(place) as raw:
            raw.sendall(b"GET /90000000 HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(1)
            assert received(raw) < 90_000_000
        assert httpx.get(f"http://{place[0]}:{place[1]}/").text == "oo"


def test_no_part_of_an_answer_waits_until_the_one_before_is_confirmed(monkeypatch):
    made, told = Connection.connection_made, []

    def connection_made(self, transport):
        made(self, transport)
        its_socket = transport.get_extra_info("socket")
        told.append(its_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(Connection, "connection_made", connection_made)
    with serving() as place:
        assert httpx.get(f"http://{place[0]}:{place[1]}/").text == "oo"
    assert told
    assert all(told)


def test_a_thousand_bad_requests_are_one_line_of_the_log(caplog):
    caplog.handler.addFilter(Seldom())
    for number in range(1000):
        try:
            raise OSError("Too many open files")
        except OSError:
            logging.getLogger("asyncio").exception("accept failed\nsocket: %s", number)
    [record] = caplog.records
    assert (record.getMessage(), record.exc_info) == ("accept failed (OSError)", None)


def test_a_page_listens_at_ipv6_and_ipv4_together():
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with listen("::", 0) as both:
        port = both.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        socket.create_connection(("::1", port)).close()
        assert address("::", port) == f"http://localhost:{port}/"
    assert address("[::1]", 80) == "http://[::1]:80/"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "fe80::1:2:3", "a" * 300])
def test_an_address_that_is_not_ours_is_one_line(host):
    with pytest.raises(ConfigError, match=r"Could not listen at .*--host\.$"):
        listen(host, 0)


def test_a_port_that_is_taken_or_none_is_one_line():
    with listen("127.0.0.1", 0) as taken:
        for port in (taken.getsockname()[1], 70000):
            with pytest.raises(ConfigError, match="Could not listen"):
                listen("127.0.0.1", port)
