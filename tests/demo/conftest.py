"""A demo that is really served, on a free port."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import numpy as np
import pytest

from chexnet.inference.predictor import Predictor
from demo import onnx_web
from tests import tiny
from tests.conftest import BEST, ROOT, needs_signals
from tests.demo.harness import EXPOSE
from tests.demo.serving import running_demo
from tests.malformed import encoded

QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
ROW = "#cx-findings [data-finding]"
INPUT = "#cx-upload input[type=file]"
SECRET = "the-content-of-a-server-file-7f3a"
"""Stands in files of the server that no visitor may read."""


@dataclass(frozen=True)
class Served:
    """A running demo: address, folder of uploads, log, what holds its network, process."""

    url: str
    folder: Path
    log: Path
    hold: Path
    pid: int

    def resident(self) -> int:
        """Megabytes of memory that it holds at the moment."""
        ps = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, text=True, check=True
        )
        return int(ps.stdout) // 1024


@contextmanager
def serving(base: Path, weights: Path) -> Iterator[Served]:
    """A demo in a process of its own; see `tests.demo.serving`."""
    command = [sys.executable, "-m", "tests.demo.serving", base, weights]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT)
    try:
        deadline = time.monotonic() + 240
        while not (base / "ready").exists():
            said = (base / "log").read_text() if (base / "log").exists() else ""
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        url, folder = (base / "ready").read_text().split("\n")
        yield Served(url, Path(folder), base / "log", base / "hold", process.pid)
    finally:
        process.terminate()
        ended = process.wait(60)
    assert ended == 0 or needs_signals.args[0]
    if not needs_signals.args[0]:  # where there are none it is killed, and cleans up nothing
        assert not list(base.glob("chexnet-demo-*")), "the folder of uploads was left"


@pytest.fixture(scope="session")
def served(exported, tmp_path_factory):
    """A demo on tiny weights, with nothing but what `make demo` installs."""
    with serving(tmp_path_factory.mktemp("served"), exported) as running:
        yield running


@pytest.fixture(scope="module")
def served_with_torch(trained, tmp_path_factory):
    """A demo on the weights file, as after `make test`: with all heatmap methods.

    In this process, which has imported torch already; it draws no cases to read.
    """
    base = tmp_path_factory.mktemp("torch")
    with tiny.used(), pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):
        patch.setattr("chexnet.inference.engine.EXPORTERS", ("hidden",))
        patch.setattr("demo.classroom.pool.PhantomCases.start", lambda self: None)
        with entered(running_demo(base, trained / BEST)) as (url, folder):
            yield Served(url, folder, base / "log", base / "hold", os.getpid())


@pytest.fixture(scope="session")
def predictor(trained) -> Predictor:
    """PyTorch on the weights of both demos, in this process."""
    with tiny.used():
        return Predictor(trained / BEST, "cpu", engine="torch")


@pytest.fixture
def folder(served):
    """The folder of uploads."""
    return served.folder


@pytest.fixture
def web(served):
    """An HTTP client without manners."""
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield Web(client)


@pytest.fixture(scope="session")
def browser():
    """Chromium. While it runs, a test's own coroutine needs `run`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def page_of(browser):
    """Give a page of that look which nobody uses, and take it back as it was when it was new.

    A page that is opened again costs a quarter of a new one. So the size of its window and its
    colour scheme, which can be changed, are no reason for a new one.
    """
    free: dict[str, list] = {}

    @contextmanager
    def lent(viewport, color_scheme="light", **look):
        pages = free.setdefault(repr(sorted(look.items())), [])
        if pages:
            page = pages.pop()
        else:
            # Playwright's own waiting evaluates strings, which the page's policy forbids.
            # A service worker would hide requests from a test that looks at them.
            blocked = {"bypass_csp": True, "service_workers": "block"}
            context = browser.new_context(viewport=viewport, **blocked | look)
            context.add_init_script(EXPOSE)
            page = context.new_page()
        page.set_default_timeout(30_000)
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=color_scheme)
        yield page
        for other in page.context.pages:
            if other is not page:
                other.close()
        page.evaluate("() => { try { localStorage.clear(); sessionStorage.clear(); } catch {} }")
        page.unroute_all(behavior="ignoreErrors")
        page.emulate_media(media="null")
        page.goto("about:blank")
        page.context.clear_cookies()
        pages.append(page)

    return lent


@dataclass(frozen=True)
class Hosted:
    """An exported page that a static host serves: address, folder."""

    url: str
    folder: Path


FEWER = """
from demo.teaching import lessons
lessons.FAINT, lessons.SIZE = 4, 96
from scripts.export_page import app
app()
"""
"""The command with fewer and smaller drawings for the lessons: all of them take a minute."""


@pytest.fixture(scope="session")
def hosted(exported, once):
    """The tiny weights' page as a folder, below a path of a host that knows nothing of it."""
    if not onnx_web.files():
        pytest.skip(f"ONNX Runtime for browsers was never fetched: {onnx_web.COMMAND}")

    def export(folder: Path) -> None:
        folder.mkdir()
        command = [sys.executable, "-c", FEWER, folder / "page", "--weights", exported]
        done = subprocess.run(command, cwd=ROOT, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()

    folder = once("hosted", export)
    with hosting(folder) as url:
        yield Hosted(f"{url}page/", folder / "page")


@contextmanager
def hosting(folder: Path) -> Iterator[str]:
    """Serve a folder as `python -m http.server` does, until the block ends."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def visiting(page_of, served: Served | Hosted) -> Iterator[Callable]:
    """Open pages as new visitors; afterwards no other host may have been asked."""
    asked, wrong = [], []
    with ExitStack() as pages:

        def opened(*, empty: bool = True, **look):
            given = {"viewport": {"width": 1360, "height": 1000}} | look
            page = pages.enter_context(page_of(**given))
            for event, handler in (
                ("request", lambda request: asked.append(request.url)),
                ("pageerror", lambda error: wrong.append(str(error))),
            ):
                page.on(event, handler)
                pages.callback(page.remove_listener, event, handler)
            page.goto(served.url)
            page.wait_for_selector(ROW)  # of the example it opens on
            page.wait_for_function("chexnet.page")
            if empty:
                page.evaluate("chexnet.page.clear()")
            return page

        yield opened
    assert [url for url in asked if not url.startswith((served.url, "data:", "blob:"))] == []
    assert wrong == []


@pytest.fixture
def source() -> str:
    """What answers the page: `served` by Python; `on_both` also tests it `hosted`, by itself."""
    return "served"


on_both = pytest.mark.parametrize("source", ["served", "hosted"])


@pytest.fixture
def visit(page_of, request, source):
    """Open the page, without the example that it opens on unless `empty=False`."""
    with visiting(page_of, request.getfixturevalue(source)) as opened:
        yield opened


@pytest.fixture
def visit_with_torch(page_of, served_with_torch):
    """The same page where PyTorch is installed."""
    with visiting(page_of, served_with_torch) as opened:
        yield opened


STILL = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
  .then(() => Promise.allSettled(document.getAnimations().map(({finished}) => finished)))"""
"""Resolves when what was asked for is drawn, and no colour is on its way to another."""


def serious_faults(page) -> list[tuple]:
    """Of accessibility, as axe finds them in light and in dark; skips where it is not installed."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe.axe_script)
    faults = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(STILL)
        results = page.evaluate("axe.run({resultTypes: ['violations']})")
        faults += [
            (scheme, fault["id"], [node["html"][:120] for node in fault["nodes"]][:3])
            for fault in results["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
    return faults


def run(coroutine: Coroutine) -> Any:
    """What a coroutine gives; in a thread, because Playwright's loop runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@contextmanager
def entered(manager: AbstractContextManager) -> Iterator[Any]:
    """Enter it where a loop runs; where none does, Gradio makes one and leaves it open."""
    with ExitStack() as stack:

        async def enter() -> Any:
            return stack.enter_context(manager)

        yield run(enter())


class Web:
    """Raw requests, as a hostile visitor sends them."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.get, self.post = client.get, client.post

    def upload(self, data: bytes, name: str = "picture.png") -> str:
        """Send a file; returns its path on the server."""
        answer = self.client.post("/gradio_api/upload", files={"files": (name, data)})
        answer.raise_for_status()
        return answer.json()[0]

    def ask(self, name: str, *data: object, session: str | None = None) -> tuple[str, str]:
        """Call an endpoint; returns how it ended (`complete` or `error`) and what it said."""
        body = {"data": list(data)} | ({"session_hash": session} if session else {})
        answer = self.client.post(f"/gradio_api/call/{name}", json=body)
        if answer.status_code != 200:
            return str(answer.status_code), answer.text
        return self.wait(name, answer.json()["event_id"])

    def wait(self, name: str, event: str) -> tuple[str, str]:
        """Wait for the answer of a call."""
        kind = ""
        with self.client.stream("GET", f"/gradio_api/call/{name}/{event}") as lines:
            for line in lines.iter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind in ("complete", "error"):
                    return kind, line[6:]
        return "closed", ""


def file_data(path: object, **more: object) -> dict:
    """What Gradio's own page says of an uploaded file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}} | more


def png(seed: int = 0, size: int = 96) -> bytes:
    """A small picture with something in it."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    return encoded(pixels)


def files(folder) -> list[str]:
    """Every file under the folder of uploads."""
    return [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]


def refused(web, payload) -> str:
    """Ask for a prediction of `payload`, which has to fail; returns what was said."""
    kind, said = web.ask("predict", payload)
    assert kind in ("error", "413", "422"), said
    assert SECRET not in said
    assert "Traceback" not in said
    assert "root:" not in said
    return said
