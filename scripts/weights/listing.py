"""`list` and `import`."""

from pathlib import Path
from typing import Annotated

import typer

Registry = Annotated[
    Path | None, typer.Option(help="A TOML file of further networks, see docs/networks.md.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_networks)


def list_networks(registry: Registry = None) -> None:
    """Show the published networks that are known: licence, what each saw, published figure."""
    from chexnet.networks.registry import load_registry

    for network in load_registry(registry).values():
        print(network.name)
        print(f"  {network.title}")
        print(f"  Licence: {network.licence}. Trained on: {network.seen_note or network.seen}.")
        figure = "none known"
        if network.published is not None:
            stamp = f"epoch chosen on the {network.chosen_on}"
            if network.chosen_on == "not stated":
                stamp = "what its epoch was chosen on is not stated"
            figure = f"{network.published:.3f} ({network.published_source}; {stamp})"
        print(f"  Published mean AUROC: {figure}.")
        print(f"  Tried here with the real file: {'yes' if network.tried else 'no'}.")
