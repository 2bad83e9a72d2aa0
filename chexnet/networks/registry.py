"""What is known of published networks, read from one TOML file. No torch: a page lists them."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chexnet.errors import ConfigError
from chexnet.files import is_name
from chexnet.transforms import Preprocessing

REGISTRY = Path(__file__).with_name("registry.toml")
LAYOUTS = ("torchvision", "torchxrayvision", "chexnet-2017")
"""Kinds of file that `chexnet.networks.importers` reads."""


@dataclass(frozen=True)
class PublishedNetwork:
    """One network, as its publisher and the registry describe it.

    Attributes:
        name: short name: no slash, no suffix of a file.
        title: a line for people.
        source: `hub:OWNER/REPOSITORY`, `drive:ID` or an https address.
        file: its name there, or the name to keep it under.
        layout: one of `LAYOUTS`.
        classes: order of its outputs: `nih14`, `alphabetical14`, `xrv18`, or names with commas.
        preprocessing: how a picture becomes its input.
        licence: as its publisher names it.
        seen: name of the list that it was trained on, `unknown` where nobody knows.
        seen_note: the same in words.
        chosen_on: on which images its epoch was chosen.
        bytes: length of the file, None where unknown.
        sha256: of the file, None where unknown.
        published: mean AUROC of 14 findings, None where no such figure is known.
        published_source: where it was read.
        thresholds: finding to the publisher's own threshold on the raw sigmoid, None without.
        tried: whether somebody has imported the real file and confirmed it.
    """

    name: str
    title: str
    source: str
    file: str
    layout: str
    classes: str
    preprocessing: Preprocessing
    licence: str
    seen: str = "unknown"
    seen_note: str = ""
    chosen_on: str = "not stated"
    bytes: int | None = None
    sha256: str | None = None
    published: float | None = None
    published_source: str = ""
    thresholds: dict[str, float] | None = None
    tried: bool = False


def load_registry(extra: Path | None = None) -> dict[str, PublishedNetwork]:
    """All networks by name, in the file's order.

    Args:
        extra: a TOML file of the same form, whose entries come beside ours, or replace them.

    Raises:
        ConfigError: `extra` is missing or an entry of it is not understood.
    """
    known = _read(REGISTRY)
    return known | _read(extra) if extra else known


def find_network(name: str, extra: Path | None = None) -> PublishedNetwork:
    """The network of that name.

    Raises:
        ConfigError: there is none; names that are near are named.
    """
    known = load_registry(extra)
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower(), known, n=3)
    offer = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}."
    raise ConfigError(f"Found no network {name!r}; {offer} python -m scripts.weights list")


def _read(path: Path) -> dict[str, PublishedNetwork]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    return {name: _entry(path, name, entry) for name, entry in entries.items()}


def _entry(path: Path, name: str, entry: Any) -> PublishedNetwork:
    try:
        if not isinstance(entry, Mapping) or not is_name(name):
            raise TypeError("expected a table with a name without slash and dot")
        values = dict(entry)
        values["preprocessing"] = Preprocessing.from_dict(values.pop("preprocessing"))
        network = PublishedNetwork(name=name, **values)
        if network.layout not in LAYOUTS:
            raise ValueError(f"layout: found {network.layout!r}, expected {', '.join(LAYOUTS)}")
    except KeyError as error:
        raise ConfigError(f"{path}, {name}: found no {error.args[0]}.") from error
    except (TypeError, ValueError) as error:
        text = str(error).replace("PublishedNetwork.__init__() ", "")
        raise ConfigError(f"{path}, {name}: {text}.") from error
    return network
