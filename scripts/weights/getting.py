"""`get`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import command, transfer_bars
from scripts.weights.listing import Registry


def get(
    name: Annotated[str, typer.Argument(help="Its name; python -m scripts.weights list.")],
    out: Annotated[Path | None, typer.Option(help="Also write the weights file here.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Take it from the cache; never ask the network.")
    ] = False,
    registry: Registry = None,
) -> None:
    """Fetch a published network, compare its checksum, and import it.

    It is kept in the cache: every --weights then takes its name, without a network.
    """
    from chexnet.networks import fetch
    from chexnet.networks.registry import find_network

    network = find_network(name, registry)
    known = network.sha256 or fetch.stored(network).get("sha256")
    with transfer_bars() as show:

        def on_progress(stage: str, done: int, total: int | None) -> None:
            show(name, stage, done, total)

        fetch.fetch(network, offline=offline, on_progress=on_progress)
        note = fetch.stored(network)
        print(f"{network.source}, {network.file}: {note['bytes']:,} bytes", file=sys.stderr)
        print(f"SHA-256 {note['sha256']}", file=sys.stderr)
        if note.get("commit"):
            print(f"The Hub's main branch was commit {note['commit']}.", file=sys.stderr)
        if not known:
            print(
                "No checksum of it was published: this one is stored now, and another file is "
                "refused from here on.",
                file=sys.stderr,
            )
        place = fetch.imported(network, offline=offline, on_progress=on_progress)
    if out is not None:
        import shutil

        from chexnet.files import replacing

        with replacing(out) as temporary:
            shutil.copyfile(place, temporary)
        place = out
    print(f"Licence: {network.licence}. Trained on: {network.seen_note or network.seen}.")
    if not network.tried:
        print("Nobody has confirmed this import with the real file yet: scripts.weights check.")
    print(f"Written: {place}. Not for clinical use.")
    chosen = place if out is not None or registry is not None else name
    print(f"Next: {command('demo', weights=chosen)}")
