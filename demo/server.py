"""Starts and stops the page's server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
from fastapi.middleware import Middleware

from chexnet.errors import ConfigError
from chexnet.inference.predictor import Predictor
from demo import security
from demo.classroom.cases import CaseSource
from demo.classroom.folder import FolderCases, Progress
from demo.classroom.handlers import Classroom
from demo.classroom.pool import POOL, PhantomCases
from demo.classroom.results import ClassResults
from demo.layout import build, page_settings
from demo.middleware import RequestFilter
from demo.service import Service


@dataclass
class Running:
    """A page that is being served.

    Attributes:
        url: its address, the public one where there is one.
        notes: lines that whoever started it should read.
        service: what answers.
        blocks: Gradio's own object.
    """

    url: str
    service: Service
    blocks: gr.Blocks
    notes: list[str] = field(default_factory=list)


@contextmanager
def serve(
    folder: Path,
    weights: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    login: tuple[str, str] | None = None,
    device: str = "auto",
    pool: int = POOL,
    cases: Path | None = None,
    class_results: Path | None = None,
    on_export: Callable[[], None] | None = None,
    on_cases: Progress = lambda *_: None,
) -> Iterator[Running]:
    """Serve the page until the block ends.

    Args:
        folder: of `security.private_folder`; the only one that uploads are read from.
        weights: a weights file.
        host: address to listen at.
        port: None for the first free one.
        share: also ask for a public link; without one the page is served locally.
        login: user and password.
        device: auto, cpu or cuda.
        pool: phantoms that cases to read are taken from, beside the first dozen.
        cases: a folder with a lecturer's own cases, instead of drawn ones.
        class_results: a new CSV file for how many answered what.
        on_export: called when these weights are made ready for ONNX Runtime, once, in about 20 s.
        on_cases: called while the folder's pictures are read and answered.

    Raises:
        CheckpointError: the weights cannot be read.
        ConfigError: the port is taken or the address is not this machine's, or the file of the
            results is there already.
        DataError: something is wrong with the folder of cases; every line is named.
    """
    service = Service(Predictor(weights, device, on_export=on_export), folder)
    predictor, quiet = service.predictor, service.admission.quiet
    try:
        source: CaseSource
        if cases is not None:
            source = FolderCases(cases, predictor, on_cases)
        else:
            source = PhantomCases(predictor, service.predict_one, quiet, pool)
        classroom = Classroom(source, predictor, ClassResults(class_results))
    except BaseException:
        service.close()
        raise
    blocks = build(service, _shown_name(weights), classroom)
    request_filter = Middleware(
        RequestFilter,
        folder=folder,
        local=host in security.LOOPBACK,
        share_host=lambda: urlsplit(blocks.share_url or "").netloc or None,
    )
    said = StringIO()
    try:
        with redirect_stdout(said):  # Gradio's own words on a tunnel that failed
            _, local_url, share_url = blocks.launch(
                server_name=host,
                server_port=port,
                share=share,
                auth=login,
                # openapi.json would answer without a login.
                app_kwargs={
                    "openapi_url": None,
                    "docs_url": None,
                    "redoc_url": None,
                    "middleware": [request_filter],
                },
                **security.launch_settings(),
                **page_settings(),
            )
    except OSError as error:
        classroom.results.close()
        service.close()
        raise ConfigError(
            f"Could not listen at {host}, port {port or '7860 to 7959'}. Another program may use "
            "it: pass another --port."
        ) from error
    running = Running(share_url or local_url, service, blocks)
    if share and not share_url:
        running.notes.append(
            "The public link could not be made; the page is served on this machine only. For the "
            "local network stop it and start: python -m demo --host 0.0.0.0"
        )
    classroom.start()
    try:
        yield running
    finally:
        blocks.close(verbose=False)
        classroom.close()
        service.close()


def _shown_name(weights: Path) -> str:
    """The file with its folder, as the page shows it; not where on this machine it lies."""
    return "/".join(weights.parts[-2:])
