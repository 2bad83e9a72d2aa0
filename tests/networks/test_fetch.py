"""Published networks by name, from a server on this machine."""

import gc
import hashlib
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chexnet.errors import ConfigError, FetchError
from chexnet.files import CACHE_VARIABLE
from chexnet.networks import fetch as module
from chexnet.networks.fetch import fetch, weights_path
from chexnet.networks.registry import PublishedNetwork, find_network
from chexnet.transforms import Preprocessing
from tests.loopback import Answer, serving, without_length

CONTENT = np.random.default_rng(0).bytes(200_000)
OTHER = np.random.default_rng(1).bytes(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
# pooch leaves the connection of a refused answer to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
COMMIT, NEWER = "a" * 40, "b" * 40


@pytest.fixture(scope="module", autouse=True)
def collected():
    """The connections that are left go while their warnings are ignored, not in another file."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch, tmp_path):
    """A cache of this test alone."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def server(monkeypatch):
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        publish(server, CONTENT, COMMIT)
        server.files["/one.pt"] = CONTENT
        yield server


@pytest.fixture(params=["hub:me/net", "URL/one.pt"])
def anywhere(request, server) -> str:
    """The source of the same file: the Hub, or an address of its own."""
    return request.param.replace("URL", server.url)


def publish(server, content: bytes, commit: str) -> None:
    """A Hub's repository whose main branch is a commit with this file."""
    server.files["/me/net/resolve/main/model.bin"] = content
    server.files[f"/me/net/resolve/{commit}/model.bin"] = content
    headers = {"X-Repo-Commit": commit}
    server.usual = Answer(headers=headers, etag=f'"{hashlib.sha256(content).hexdigest()}"')


def network(source: str = "hub:me/net", **more) -> PublishedNetwork:
    values = {
        "name": "mine",
        "title": "A network",
        "source": source,
        "file": "model.bin",
        "layout": "torchvision",
        "classes": "nih14",
        "preprocessing": Preprocessing(),
        "licence": "none",
        **more,
    }
    return PublishedNetwork(**values)


def paths(server) -> list[str]:
    return [path for path, _ in server.asked]


def kept(published: PublishedNetwork) -> list[str]:
    folder = module.cache_folder(published)
    names = [p.name for p in folder.iterdir() if p.name != ".lock"] if folder.exists() else []
    return sorted(names)


def test_mains_file_is_fetched_and_its_commit_noted(server):
    published = network()
    assert fetch(published).read_bytes() == CONTENT
    assert kept(published) == ["fetched.json"]  # the file lies in huggingface_hub's own cache
    note = module.stored(published)
    assert note["commit"] == COMMIT
    assert note["sha256"] == SHA256
    assert note["bytes"] == len(CONTENT)
    assert paths(server)[0] == "/me/net/resolve/main/model.bin"


def test_the_hub_is_told_nothing_about_us(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("AI_AGENT", "canary")
    fetch(network())
    for path, headers in server.asked:
        assert path.startswith("/me/net/resolve/")
        assert "authorization" not in headers
        assert "canary" not in str(headers)


def test_the_second_use_needs_no_server(server):
    published = network()
    place = fetch(published)
    server.asked.clear()
    assert fetch(published) == fetch(published, offline=True) == place
    assert server.asked == []


def test_the_commit_of_the_first_fetch_stays(server):
    """The branch has moved: what is fetched again is what was fetched first."""
    published = network()
    fetch(published).unlink()
    publish(server, OTHER, NEWER)
    server.usual = Answer(headers={"X-Repo-Commit": COMMIT}, etag=f'"{SHA256}"')
    assert fetch(published).read_bytes() == CONTENT


def test_a_known_checksum_is_compared_before_anything_is_kept(anywhere):
    good = network(anywhere, sha256=SHA256, bytes=len(CONTENT))
    for wrong in (replace(good, sha256="0" * 64), replace(good, bytes=1 + len(CONTENT))):
        with pytest.raises(FetchError, match=r"It was not read|does not match the known"):
            fetch(wrong)
        assert module.stored(wrong) == {}
    assert fetch(good).read_bytes() == CONTENT


def test_an_unknown_checksum_is_stored_and_another_file_refused(server, anywhere):
    published = network(anywhere)
    fetch(published).unlink()
    publish(server, OTHER, COMMIT)
    server.files["/one.pt"] = OTHER
    with pytest.raises(FetchError, match=rf"expected (SHA-256 )?{SHA256}"):
        fetch(published)
    assert kept(published) == ["fetched.json"]


def test_a_file_that_was_altered_in_the_cache_is_refused(server):
    published = network()
    place = fetch(published)
    place.write_bytes(CONTENT[:-1] + b"x")
    server.asked.clear()
    with pytest.raises(FetchError, match=r"expected SHA-256.*remove"):
        fetch(published)
    assert server.asked == []


def test_a_file_of_another_source_is_not_taken_for_this_one(server):
    """The same name in another registry: nothing that was stored counts for it."""
    fetch(network())
    other = network(f"{server.url}/one.pt")
    assert module.stored(other) == {}


def test_a_cut_connection_never_leaves_a_file_under_its_name(server, anywhere, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # huggingface_hub waits between its attempts
    published = network(anywhere)
    usual, server.usual = server.usual, replace(server.usual, cut=70_000)
    server.answers = {"/me/net/resolve/main/model.bin": [usual]}  # the Hub's HEAD
    with pytest.raises(FetchError, match=r"could not be fetched|bytes came"):
        fetch(published)
    assert kept(published) == []
    server.usual = usual
    assert fetch(published).read_bytes() == CONTENT


def test_a_body_without_a_length_is_stopped_where_the_published_file_ends(server):
    server.respond = without_length
    published = network(f"{server.url}/one.pt", bytes=100_000)
    with pytest.raises(FetchError, match="more than 100,000 bytes"):
        fetch(published)
    assert kept(published) == []


@pytest.mark.parametrize("status", [404, 403])
def test_what_is_not_there_is_one_line(server, anywhere, status):
    server.usual = Answer(status=status, content=b"")
    with pytest.raises(FetchError, match="could not be fetched from") as refusal:
        fetch(network(anywhere))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("source", ["hub:me/net", "URL"])
def test_without_a_network_it_is_one_line(source, monkeypatch):
    with serving() as gone:
        url = gone.url
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr("time.sleep", lambda _: None)  # huggingface_hub waits between its attempts
    with pytest.raises(FetchError, match="Without a network") as refusal:
        fetch(network(f"{url}/one.pt" if source == "URL" else source))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("how", ["argument", "CHEXNET_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_asks_nobody(server, monkeypatch, how):
    if how != "argument":
        monkeypatch.setenv(how, "1")
    with pytest.raises(FetchError, match="not in the cache"):
        fetch(network(), offline=how == "argument")
    assert server.asked == []


def test_drive_is_asked_without_cookies_and_its_file_compared(monkeypatch):
    asked = []

    def download(**options):
        asked.append(options)
        Path(options["output"]).write_bytes(CONTENT)
        options["progress"](len(CONTENT), None)

    monkeypatch.setitem(sys.modules, "gdown", types.SimpleNamespace(download=download))
    seen = []
    published = network("drive:xyz", bytes=len(CONTENT), sha256=SHA256)
    place = fetch(published, on_progress=lambda *event: seen.append(event))
    assert place.read_bytes() == CONTENT
    assert asked[0]["id"] == "xyz"
    assert asked[0]["use_cookies"] is False
    assert asked[0]["quiet"] is True
    assert seen[-1] == ("fetching", len(CONTENT), len(CONTENT))


def test_gdown_has_the_options_that_we_give():
    import inspect

    import gdown

    known = inspect.signature(gdown.download).parameters
    assert {"id", "output", "quiet", "use_cookies", "timeout", "progress"} <= set(known)


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("huggingface_hub", "hub:me/net"),
        ("gdown", "drive:x"),
        ("pooch", "https://example.org/one.pt"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, package, source):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(FetchError, match=f"pip install {package}"):
        fetch(network(source))


@pytest.mark.parametrize("source", ["ftp://x/y", "http://example.org/y", "nothing"])
def test_other_sources_are_refused(source):
    with pytest.raises((ConfigError, FetchError), match="expected"):
        fetch(network(source))


@pytest.mark.parametrize("file", ["", "..", "a/.hidden", "fetched.json"])
def test_a_file_of_a_strange_name_is_refused(file):
    with pytest.raises(ConfigError, match="expected a file's name"):
        fetch(network("https://example.org/y", file=file))


def test_progress_ends_at_the_whole_file(anywhere):
    seen = []
    fetch(network(anywhere), on_progress=lambda *event: seen.append(event))
    assert {stage for stage, *_ in seen} == {"fetching"}
    assert seen[-1][1:] == (len(CONTENT), len(CONTENT))


@pytest.fixture
def importer(monkeypatch):
    """An importer that only counts."""
    calls = []

    def import_network(file, out, *, network=None, **_):
        calls.append(network.name)
        out.write_bytes(b"weights of " + file.read_bytes()[:4])

    fake = types.ModuleType("chexnet.networks.importers")
    fake.import_network = import_network
    monkeypatch.setitem(sys.modules, "chexnet.networks.importers", fake)
    return calls


@pytest.fixture
def registry(tmp_path, server):
    place = tmp_path / "more.toml"
    place.write_text(
        '[mine]\ntitle = "x"\nsource = "hub:me/net"\nfile = "model.bin"\nlayout = "torchvision"\n'
        'classes = "nih14"\nlicence = "none"\n[mine.preprocessing]\n'
        "crop = 90\nsize = 256\n"
    )
    return place


def test_a_name_is_fetched_and_imported_once(registry, importer, server):
    stages = []
    place = weights_path("mine", registry=registry, on_progress=lambda s, *_: stages.append(s))
    assert place.read_bytes() == b"weights of " + CONTENT[:4]
    assert place.suffix == ".pth"
    server.asked.clear()
    assert weights_path("mine", registry=registry) == place
    assert weights_path("mine", registry=registry, offline=True) == place
    assert importer == ["mine"]
    assert server.asked == []
    assert list(dict.fromkeys(stages)) == ["fetching", "importing"]


def test_another_description_of_a_network_is_imported_anew(registry, importer):
    first = weights_path("mine", registry=registry)
    registry.write_text(
        registry.read_text().replace('classes = "nih14"', 'classes = "alphabetical14"')
    )
    second = weights_path("mine", registry=registry)
    assert second != first
    assert importer == ["mine", "mine"]


def test_an_import_that_fails_leaves_no_weights(registry, importer, monkeypatch):
    def broken(file, out, **_):
        out.write_bytes(b"half")
        raise ConfigError("not this")

    monkeypatch.setattr(sys.modules["chexnet.networks.importers"], "import_network", broken)
    with pytest.raises(ConfigError, match="not this"):
        weights_path("mine", registry=registry)
    assert kept(find_network("mine", registry)) == ["fetched.json"]


def test_a_file_wins_and_a_path_is_no_name(registry, importer, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in ("runs/mine", "./mine.pth", "mine.pth", "mine.onnx"):
        assert weights_path(text, registry=registry) == Path(text)
    Path("mine").write_bytes(b"my own")
    assert weights_path("mine", registry=registry) == Path("mine")
    assert server.asked == []
    Path("mine").unlink()
    Path("mine").mkdir()
    assert weights_path("mine", registry=registry).suffix == ".pth"


def test_naming_a_file_loads_nothing_heavy():
    import subprocess

    code = (
        "import sys; from chexnet.networks.fetch import weights_path; weights_path('a.pth');"
        "print([n for n in ('torch', 'pandas', 'huggingface_hub', 'httpx') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
