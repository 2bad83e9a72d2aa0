"""Open the browser demo: python -m demo."""

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chexnet.errors import ChexnetError
from chexnet.files import installed
from chexnet.parallel import break_as_interrupt
from demo import security

if TYPE_CHECKING:
    from demo.room.panel import Panel


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights, or a published network's name; else the newest run's, else the starter."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 opens it to the local network.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; else the first free from 7860.")] = None,
    share: Annotated[
        bool, typer.Option("--share", help="Also make a public link, through Gradio's servers.")
    ] = False,
    share_server: Annotated[
        str | None, typer.Option(help="HOST:PORT of a share server of your own, for --share.")
    ] = None,
    public_host: Annotated[
        str | None, typer.Option(help="Name by which a reverse proxy serves the page.")
    ] = None,
    root_path: Annotated[
        str, typer.Option(envvar="GRADIO_ROOT_PATH", help="/PATH under which it does.")
    ] = "",
    auth: Annotated[
        str | None, typer.Option(help="USER:PASSWORD; made up where others can reach the page.")
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(help="Folder with your own cases to read: pictures and cases.csv."),
    ] = None,
    rounds: Annotated[
        Literal["all", "with"],
        typer.Option(help="Read before, with and after the network; or with it alone."),
    ] = "all",
    study: Annotated[
        Path | None,
        typer.Option(help="TOML file of a reader study: its arms, and what readers agree to."),
    ] = None,
    class_results: Annotated[
        Path | None,
        typer.Option(help="New CSV file: how many of the class answered what. No names."),
    ] = None,
) -> None:
    """Open a page that shows what the network sees in a chest radiograph.

    Research and education only, not for clinical use.
    """
    logins = security.credentials(auth, host, share or public_host is not None)
    from chexnet.inference.predictor import BETTER_THAN_STARTER, default_weights

    chosen = _named(weights) if weights else default_weights()
    print("Research and education only, not for clinical use.")
    print(f"Weights: {chosen}", flush=True)
    # A stopped demo removes its folder; Ctrl-C does the same by itself, Ctrl-Break by this.
    break_as_interrupt()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with security.private_folder() as folder:
        from demo.rendering import PUBLISHED, WITHOUT_TORCH
        from demo.server import serve

        with serve(
            folder,
            chosen,
            host=host,
            port=port,
            share=share,
            share_server_address=share_server,
            public_host=public_host,
            root_path=root_path,
            logins=logins,
            cases=cases,
            class_results=class_results,
            alone=rounds == "all",
            study=study,
            on_export=_say_export,
            on_cases=_say_cases,
            on_link=_say_link,
        ) as running:
            print(f"Open {running.url}")
            if running.service.predictor.is_starter:
                print(f"{BETTER_THAN_STARTER}{PUBLISHED}")
            if not installed("torch", "torchvision"):
                print(WITHOUT_TORCH)
            for line in running.notes:
                print(line)
            _say_addresses(running.panel)
            if logins:
                shown = logins.students[1] if logins.made else "as given"
                print(f"Class     User: {logins.students[0]}  Password: {shown}")
                print(f"Lecturer  User: {logins.lecturer[0]}  Password: {logins.lecturer[1]}")
            print(f"Lecturer's panel: {running.panel.local_url.rstrip('/')}/lecturer")
            print("Stop with Ctrl-C.", flush=True)
            try:
                # Not for ever at once: Windows would not hear Ctrl-C meanwhile.
                while not threading.Event().wait(1):
                    pass
            except KeyboardInterrupt:
                print()


def _named(weights: Path) -> Path:
    """The file, or a published network's, which is fetched when it is first named."""
    from chexnet.networks.fetch import weights_path

    said: set[str] = set()

    def show(stage: str, done: int, total: int | None) -> None:
        share = 10 * done // total if total else 0
        line = f"{weights} {stage}" + (f" {10 * share} %" if share else "")
        if line not in said:
            said.add(line)
            print(line, file=sys.stderr, flush=True)

    return weights_path(str(weights), on_progress=show)


def _say_export() -> None:
    print("Preparing the model (first start only, about 20 s) ...", flush=True)


def _say_addresses(panel: "Panel") -> None:
    """Where phones reach the page; as QR codes on a terminal."""
    from demo.room.addresses import qr_text

    urls = {"Local network": panel.lan_url, "Public link": panel.link.url if panel.link else None}
    urls["Reverse proxy"] = panel.public_url
    for name, url in urls.items():
        if url:
            print(f"{name}: {url}")
            if sys.stdout.isatty():
                print(qr_text(url))


def _say_link(url: str) -> None:
    print(f"New public link: {url}", flush=True)


def _say_cases(what: str, done: int, count: int) -> None:
    """One line that counts up on a terminal; elsewhere the last count alone."""
    terminal = sys.stderr.isatty()
    if terminal or done == count:
        start, end = "\r" if terminal else "", "\n" if done == count else ""
        print(f"{start}Your cases: {done} of {count} {what}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        app()
    except ChexnetError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
