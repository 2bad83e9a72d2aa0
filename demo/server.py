"""Starts and stops the page's server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from urllib.parse import urlsplit

from fastapi import FastAPI

from chexnet.errors import ConfigError
from chexnet.inference.predictor import Predictor
from demo import security
from demo.api import NamedApi
from demo.classroom.cases import CaseSource
from demo.classroom.folder import FolderCases, Progress
from demo.classroom.handlers import Classroom
from demo.classroom.pool import POOL, PhantomCases
from demo.classroom.results import ClassResults
from demo.classroom.study import Study
from demo.gradio_private import Answers, gr, log_in_one_line, serve_all_admitted
from demo.listener import EVERYWHERE, Server, address, listen, most_connections
from demo.members import Members
from demo.middleware import RequestFilter
from demo.room.addresses import checked_root_path, lan_url, public_address
from demo.room.link import PublicLink
from demo.room.panel import PATH, Panel
from demo.room.tunnel import open_tunnel, share_server
from demo.routes import Routes
from demo.service import Service

WITHOUT_PAIRS = (
    "The list of cases names no pairs, so all are read with the network. Two lines with the same "
    "word in a column `pair` are read without it, one before the others and one after."
)
PATIENCE = 20.0
"""Seconds that the start waits for the first public link."""


@dataclass
class Running:
    """A page that is being served.

    Attributes:
        url: its address, the public one where there is one.
        notes: lines that whoever started it should read.
        service: what answers.
        panel: the lecturer's, which knows the other addresses.
    """

    url: str
    service: Service
    panel: Panel
    notes: list[str] = field(default_factory=list)


@contextmanager
def serve(
    folder: Path,
    weights: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    share_server_address: str | None = None,
    public_host: str | None = None,
    root_path: str = "",
    logins: security.Logins | None = None,
    public: bool = False,
    device: str = "auto",
    pool: int = POOL,
    cases: Path | None = None,
    class_results: Path | None = None,
    alone: bool = True,
    study: Path | None = None,
    on_export: Callable[[], None] | None = None,
    on_cases: Progress = lambda *_: None,
    on_link: Callable[[str], None] = lambda url: None,
) -> Iterator[Running]:
    """Serve the page until the block ends.

    Args:
        folder: of `security.private_folder`; the only one that uploads are read from.
        weights: a weights file.
        host: address to listen at.
        port: None for the first free one.
        share: also ask for a public link; without one the page is served locally.
        share_server_address: of a share server of one's own, as `HOST:PORT`; else Gradio's.
        public_host: name by which a reverse proxy on this machine serves the page.
        root_path: path under which it does; empty for none.
        logins: names and passwords; without them only loopback may be served.
        public: whoever comes may use it without a login, as in a Space, in whose page it may be
            shown. There is no lecturer's panel then.
        device: see `chexnet.compute.pick_device`.
        pool: phantoms that cases to read are taken from, beside the first session's.
        cases: a folder with a lecturer's own cases, instead of drawn ones.
        class_results: a new CSV file for how many answered what.
        study: a TOML file of a reader study; its answers are written beside it.
        alone: also read cases without the network, before and after those that are read with it.
        on_export: called when these weights are made ready for ONNX Runtime, once, in about 20 s.
        on_link: called with a new public link that takes the place of one that died.
        on_cases: called while the folder's pictures are read and answered.

    Raises:
        CheckpointError: the weights cannot be read.
        ConfigError: the port is taken or the address is not this machine's, or the file of the
            results is there already.
        DataError: something is wrong with the folder of cases; every line is named.
    """
    reachable = share or public_host or host not in security.LOOPBACK
    if logins is None and not public and reachable:
        raise ConfigError("A page that others can reach needs a login.")
    root_path = checked_root_path(root_path)
    public_url = public_address(public_host, root_path) if public_host else None
    if share_server_address:
        share_server(share_server_address)
    service = Service(Predictor(weights, device, on_export=on_export), folder)
    predictor, quiet = service.predictor, service.admission.quiet
    try:
        source: CaseSource
        if cases is not None:
            source = FolderCases(cases, predictor, on_cases, alone)
        else:
            source = PhantomCases(predictor, service.predict_one, quiet, pool, alone)
        opened = Study(study) if study else None
        classroom = Classroom(source, predictor, ClassResults(class_results), opened)
    except BaseException:
        service.close()
        raise
    try:
        listening = listen(host, port)
        url = address(host, listening.getsockname()[1])
        members = Members(logins)
        routes = Routes(service, classroom, members, _shown_name(weights), root_path)
        panel = Panel(members, routes, classroom.readers, classroom.results, local_url=url)
        panel.lan_url, panel.public_url = lan_url(host, url), public_url
        server = _start(routes, panel, listening, service, host, root_path, public)
    except BaseException:
        classroom.results.close()
        service.close()
        raise
    running = Running(url, service, panel)
    if alone and not source.words.alone:
        running.notes.append(WITHOUT_PAIRS)
    try:
        if share:
            near = "127.0.0.1" if host in EVERYWHERE else host
            at = listening.getsockname()[1]
            link = PublicLink(
                lambda: open_tunnel(near, at, share_server_address, folder.parent),
                on_link,
            )
            panel.link = link
            link.start(PATIENCE)
            if link.url:
                running.url = link.url
            else:
                running.notes.append(_without_link(link.problem))
        classroom.start()
        yield running
    finally:
        if panel.link:
            panel.link.close()
        server.close()
        classroom.close()
        service.close()


def _start(
    routes: Routes,
    panel: Panel,
    listening: socket,
    service: Service,
    host: str,
    root_path: str,
    public: bool,
) -> Server:
    """Serve the page, the panel and the named API at a socket.

    Not by `Blocks.launch`: it asks its own page through whatever proxy the machine has, gives up
    after three seconds on a busy one, and hides the server whose limits have to be set.
    """
    log_in_one_line()
    own = routes.routes() + ([] if public else panel.routes())
    front = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, routes=[*own])
    blocks = NamedApi(service).blocks()
    serve_all_admitted(blocks)
    blocks.state_session_capacity = security.SESSIONS
    gr.mount_gradio_app(front, blocks, "/", root_path=root_path, **security.gradio_safety())
    request_filter = RequestFilter(
        front,
        service.uploads,
        local=host in security.LOOPBACK,
        share_host=lambda: panel.link.host if panel.link else None,
        former_hosts=lambda: panel.link.former if panel.link else (),
        public_host=urlsplit(panel.public_url).netloc if panel.public_url else None,
        root_path=root_path,
        members=panel.members if panel.members.logins else None,
        answers=Answers(blocks),
        requests_each=most_connections() // 2,
        public=public,
    )
    server = Server(request_filter, listening, behind_proxy=panel.public_url is not None)
    service.uploads.start()
    return server


def _without_link(problem: str) -> str:
    return (
        f"The public link could not be made. {problem} The page is served on this machine; the "
        f"link is tried again by itself and shown here and at {PATH}. For the local network stop "
        "it and start: python -m demo --host 0.0.0.0"
    )


def _shown_name(weights: Path) -> str:
    """The file with its folder, as the page shows it; not where on this machine it lies."""
    return "/".join(weights.parts[-2:])
