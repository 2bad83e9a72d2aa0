"""`list`, `get` and `import`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli import command, transfer_bars

if TYPE_CHECKING:
    from chexnet.networks.registry import PublishedNetwork

Registry = Annotated[
    Path | None, typer.Option(help="A TOML file of further networks, see docs/networks.md.")
]


def list_networks(registry: Registry = None) -> None:
    """Show the published networks that are known: licence, what each saw, published figure."""
    from chexnet.networks.fetch import stored
    from chexnet.networks.registry import load_registry

    print("Research and education only, not for clinical use.")
    for network in load_registry(registry).values():
        print(f"\n{network.name}: {network.title}")
        print(f"  licence           {network.licence}")
        print(f"  trained on        {network.seen_note or network.seen}")
        print(f"  published AUROC   {_figure(network)}")
        print(f"  tried             {_tried(network)}")
        print(f"  in the cache      {'yes' if stored(network) else 'no'}")


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


def import_file(
    file: Annotated[Path, typer.Argument(help="A network of another project.")],
    out: Annotated[Path, typer.Option(help="The weights file to write.")],
    layout: Annotated[
        str, typer.Option(help="auto, torchvision (timm as well), torchxrayvision or chexnet-2017.")
    ] = "auto",
    classes: Annotated[
        str | None,
        typer.Option(
            help="Order of its outputs: nih14, alphabetical14, or NAME,NAME,... (- leaves one out)."
        ),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Its name in the registry, which says all the rest.")
    ] = None,
    registry: Registry = None,
) -> None:
    """Turn a file of another project into a weights file of this one.

    No code of the file is run, and every tensor of it is used or refused by its name. An order of
    the outputs that the file does not fix is asked for, never guessed.
    """
    from chexnet.networks.importers import import_network
    from chexnet.networks.registry import find_network

    entry = find_network(network, registry) if network else None
    metadata = import_network(file, out, layout=layout, classes=classes, network=entry)
    seen, told, shape = metadata.preprocessing, metadata.provenance, metadata.preprocessing.size
    proportions = "proportions kept" if seen.keep_aspect else "squashed to a square"
    print(f"Written: {out}, {out.stat().st_size / 1e6:.1f} MB. Not for clinical use.")
    if told["place"] or told["prefix"]:
        print(f"Weights: {told['place'] or 'the whole file'}, names without {told['prefix']!r}.")
    print(f"Layout: {told['layout']}. Outputs: {', '.join(metadata.classes)}.")
    print(
        f"Input: the central {seen.crop:g} % of each side, {seen.resample}, {proportions}, "
        f"{shape} x {shape}; mean {_numbers(seen.mean)}, std {_numbers(seen.std)}."
    )
    if not told["network"]:
        print("Its preprocessing is assumed, the usual one of its layout. If its publisher states")
        print("another, write an entry of the registry: --registry FILE --network NAME.")
    known = metadata.seen or {}
    if known.get("list", "unknown") == "unknown":
        print("What it was trained on is not known: all of NIH's images count as seen.")
    else:
        print(f"Trained on: {told['seen_note'] or known['list']}. Those images count as seen.")
    print(f"Next: {command('demo', weights=out)}")


def _figure(network: "PublishedNetwork") -> str:
    if network.published is None:
        return "none known"
    stamp = f"epoch chosen on the {network.chosen_on}"
    if network.chosen_on == "not stated":
        stamp = "not stated what its epoch was chosen on"
    return f"{network.published:.3f}, {stamp} ({network.published_source})"


def _tried(network: "PublishedNetwork") -> str:
    return "yes" if network.tried else "no: nobody has confirmed the real file with this project"


def _numbers(values: tuple[float, ...]) -> str:
    """One number where all channels have the same."""
    return " ".join(f"{value:.4g}" for value in (values[:1] if len(set(values)) == 1 else values))
