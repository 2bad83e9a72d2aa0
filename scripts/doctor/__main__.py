"""Is everything as it should be? python -m scripts.doctor [--data DIR] [--weights W]."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli import WEIGHTS_HELP, Packs, named_weights, new_app, run

if TYPE_CHECKING:
    from scripts.doctor.finding import Finding

app = new_app()


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="Also look at this data folder.")] = None,
    weights: Annotated[Path | None, typer.Option(help=WEIGHTS_HELP, callback=named_weights)] = None,
    packs: Packs = Path("packs"),
    record: Annotated[
        bool,
        typer.Option("--record", help="Write what new starter weights answer for the phantom."),
    ] = False,
) -> None:
    """Look at the machine, the packages, the data and the network; a line each.

    A phantom that is shipped goes through every stage with the starter weights: a wrong resize, an
    altered normalisation or a broken export is named. Exit code 1 if anything is wrong.
    """
    if record:
        _record()
        return
    from scripts.doctor.finding import State, guarded

    states = []
    for name, check in _checks(data, weights, packs).items():
        for finding in guarded(name, check):
            states.append(finding.state)
            print(finding, flush=True)
    wrong = states.count(State.wrong)
    print(f"\n{wrong} of {len(states)} are wrong." if wrong else "\nNothing is wrong.")
    sys.exit(bool(wrong))


def _checks(
    data: Path | None, weights: Path | None, packs: Path
) -> "dict[str, Callable[[], Iterator[Finding]]]":
    from scripts.doctor import machine, network
    from scripts.doctor.data import data_folder

    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "Python": machine.python,
        "Packages": machine.packages,
        "Processors": machine.processors,
        "Memory": machine.memory,
        "Disk": lambda: machine.disk([Path(), *([data] if data and data.is_dir() else [])]),
        "Cache": machine.cache,
        "Port": machine.port,
        "Starter weights": network.starter,
    }
    if weights is not None:
        checks["Weights"] = lambda: network.given(weights)
    if data is not None:
        checks["Data"] = lambda: data_folder(data, packs)
    return checks


def _record() -> None:
    import json

    from chexnet.files import write_text
    from chexnet.inference.predictor import STARTER
    from scripts.doctor.network import EXPECTED, expected_values

    write_text(EXPECTED, json.dumps(expected_values(STARTER), indent=1) + "\n")
    print(f"Written: {EXPECTED}")


if __name__ == "__main__":
    run(app)
