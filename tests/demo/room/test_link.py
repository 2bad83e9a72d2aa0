"""The watchdog of the public link, without a network; addresses and QR codes."""

import itertools
import threading

import pytest
import segno

from chexnet.errors import ConfigError, FetchError
from demo import security
from demo.room import link as module
from demo.room.addresses import lan_url, qr_picture, qr_text
from demo.room.link import PublicLink
from tests.conftest import needs_modes
from tests.demo.room.room import wait_until


class Made:
    """A tunnel that does what a test wants."""

    def __init__(self, link: str) -> None:
        self.link, self.alive, self.killed = link, True, False

    def kill(self) -> None:
        self.alive, self.killed = False, True


@pytest.fixture
def tunnel():
    """For those who need it: it imports Gradio, for seconds."""
    from demo.room import tunnel

    return tunnel


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name in ("LOOK", "CHECK", "AGAIN", "RETRY"):
        monkeypatch.setattr(module, name, 0.005)


@pytest.fixture
def watched():
    links = []

    def watch(opener, **more):
        links.append(PublicLink(opener, **more))
        links[-1].start(10)
        return links[-1]

    yield watch
    for link in links:
        link.close()
        assert not link._thread.is_alive()


def tunnels():
    """Opens tunnels with links 0, 1, 2, ...; all that were made."""
    opened, numbers = [], itertools.count()

    def opener():
        opened.append(Made(f"https://{next(numbers)}.example"))
        return opened[-1]

    return opener, opened


def test_every_death_is_followed_by_another_link(watched):
    opener, opened = tunnels()
    heard = []
    link = watched(opener, on_link=heard.append, probe=lambda url: True)
    assert (link.url, link.host, link.opened) == ("https://0.example", "0.example", 1)
    for number in range(1, 6):
        opened[-1].alive = False
        wait_until(lambda number=number: link.host == f"{number}.example")
        assert link.problem == ""
    assert link.former == {f"{k}.example" for k in range(5)}
    assert heard == [f"https://{k}.example" for k in range(1, 6)]
    link.close()
    assert link.url is None
    assert all(tunnel.killed for tunnel in opened)


def test_a_link_at_which_the_page_no_longer_answers_is_replaced(watched):
    opener, opened = tunnels()
    dead, asked = set(), []

    def probe(url):
        asked.append(url)
        return url not in dead

    link = watched(opener, probe=probe)
    wait_until(lambda: len(asked) > 2)
    assert len(opened) == 1
    dead.add("https://0.example")
    wait_until(lambda: link.host == "1.example")
    assert opened[0].killed


def test_one_slow_answer_costs_nobody_the_link(watched):
    opener, opened = tunnels()
    answered = itertools.cycle([True, False, False])
    asked = itertools.count()

    def probe(url):
        next(asked)
        return next(answered)

    watched(opener, probe=probe)
    wait_until(lambda: next(asked) > 60)
    assert len(opened) == 1


def test_a_network_that_leads_nobody_back_to_himself_costs_no_link(watched):
    opener, opened = tunnels()
    asked = []
    watched(opener, probe=lambda url: asked.append(url))
    wait_until(lambda: len(asked) > 20)
    assert len(opened) == 1


def test_a_helper_that_names_another_link_is_believed(watched):
    opener, opened = tunnels()
    link = watched(opener, probe=lambda url: True)
    opened[0].link = "https://other.example:8080"
    wait_until(lambda: link.host == "other.example:8080")
    assert (len(opened), link.opened) == (1, 2)
    assert link.former == {"0.example"}


def test_without_share_servers_it_says_so_and_goes_on_trying(watched):
    reachable = threading.Event()
    opener, _ = tunnels()

    def unreachable():
        if not reachable.is_set():
            raise FetchError("Nobody there.")
        return opener()

    link = watched(unreachable)
    assert (link.url, link.problem) == (None, "Nobody there.")
    reachable.set()
    wait_until(lambda: link.url)
    assert link.problem == ""


def test_an_unreachable_share_server_is_named(tunnel, monkeypatch, tmp_path):
    monkeypatch.setattr("gradio.networking.GRADIO_API_SERVER", "http://127.0.0.1:9/")
    monkeypatch.delenv("GRADIO_SHARE_SERVER_ADDRESS", raising=False)
    with pytest.raises(FetchError, match="share servers cannot be reached"):
        tunnel.open_tunnel("127.0.0.1", 7860, None, tmp_path)


@needs_modes
@pytest.mark.parametrize("says", ["login to server failed: no", "", None])
def test_a_helper_that_gives_no_link_is_ended(tunnel, monkeypatch, tmp_path, says):
    helper = tmp_path / "helper"
    if says is not None:
        helper.write_text(f"#!/bin/sh\necho '{says}'\n[ -z '{says}' ] || exec sleep 600\n")
        helper.chmod(0o700)
    else:
        helper.touch()  # no program at all
    monkeypatch.setattr("gradio.tunneling.BINARY_PATH", str(helper))
    with pytest.raises(FetchError, match=says or "helper"):
        tunnel.open_tunnel("127.0.0.1", 7860, "127.0.0.1:7000", tmp_path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("share.uni.example:7000", ("share.uni.example", 7000, "http")),
        ("https://share.uni.example:443", ("share.uni.example", 443, "https")),
        ("10.0.0.7:7000", ("10.0.0.7", 7000, "http")),
    ],
)
def test_a_share_server_is_host_and_port(tunnel, given, expected):
    assert tunnel.share_server(given) == expected


@pytest.mark.parametrize(
    "given", ["", "host", ":7000", "host:", "host:x", "host:70000", "ftp://h:1", "-x y:1", "a/b:1"]
)
def test_what_is_no_share_server_is_refused(tunnel, given):
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        tunnel.share_server(given)


@pytest.mark.parametrize("where", [{"share": True}, {"host": "0.0.0.0"}])
def test_a_page_that_others_reach_is_not_served_without_logins(tmp_path, where):
    from demo.server import serve

    with (
        pytest.raises(ConfigError, match="needs a login"),
        serve(tmp_path, tmp_path / "no-weights", **where),
    ):
        pass


def test_addresses_are_those_that_a_phone_reaches(monkeypatch):
    local = "http://localhost:7861/"
    assert all(lan_url(host, local) is None for host in security.LOOPBACK)
    assert lan_url("192.168.1.5", local) == "http://192.168.1.5:7861/"
    assert lan_url("fd00::5", local) == "http://[fd00::5]:7861/"
    monkeypatch.setattr("demo.room.addresses._own_address", lambda: "10.1.2.3")
    assert lan_url("0.0.0.0", local) == "http://10.1.2.3:7861/"
    monkeypatch.setattr("demo.room.addresses._own_address", lambda: None)
    assert lan_url("0.0.0.0", local) is None


def test_a_terminals_qr_code_has_the_modules_of_the_address():
    url = "https://0123456789abcdef.gradio.live"
    size = segno.make(url, error="l", micro=False).symbol_size(border=2)[0]
    lines = qr_text(url).splitlines()
    assert len(lines) in (size // 2, size // 2 + 1)  # two rows of modules a line
    assert qr_picture(url).startswith("data:image/svg+xml")


@needs_modes
@pytest.mark.parametrize(
    "lie",
    [
        "http://127.0.0.1:7860",
        "http://localhost:7860",
        "http://[::1]:7860",
        "http://2130706433/",
        "http://laptop.local:7860",
        "http://" + "a" * 5000 + ".example",
        "javascript:alert(1)",
        "\\033[2Jx",
    ],
)
def test_a_share_server_that_lies_is_not_believed(tunnel, monkeypatch, tmp_path, lie):
    """Else the page's own address would be refused as soon as the server names another link."""
    helper = tmp_path / "helper"
    said = f"start proxy success: {lie}"
    helper.write_text(f"#!/bin/sh\nprintf '{said}\\n'\nhead -c 9000000 /dev/zero\n")
    helper.chmod(0o700)
    monkeypatch.setattr("gradio.tunneling.BINARY_PATH", str(helper))
    with pytest.raises(FetchError) as caught:
        tunnel.open_tunnel("127.0.0.1", 7860, "127.0.0.1:7000", tmp_path)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@needs_modes
def test_a_line_that_does_not_end_takes_no_memory(tunnel):
    class Endless:
        left = 2000

        def readline(self, most):
            assert 0 < most <= 2**16
            self.left -= 1
            return b"a" * most if self.left else b""

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    opened = tunnel.Tunnel("a", 1, "b", 2, "c", None, scheme="http")
    opened._read(Endless())
    assert sum(map(len, opened._said)) < 5000
