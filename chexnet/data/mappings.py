"""From another data set's labels to ours: `formats.toml`, and a user's own mapping file.

Shapes: N images, L labels of the vocabulary.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.errors import DataError
from chexnet.labels import LABELS

NEGATIVE, POSITIVE, UNCERTAIN, UNKNOWN = 0, 1, 2, 3
"""What a table says of one label of one image."""
UNCERTAIN_AS = {"ignore": UNKNOWN, "positive": POSITIVE, "negative": NEGATIVE}
"""`--uncertain`: what an uncertain label is taken for."""
BLANK_AS = {"negative": NEGATIVE, "unknown": UNKNOWN}
NOT_USED = "not used"
_TABLES = ("labels", "either", "unused", "reasons")


@dataclass(frozen=True)
class Meaning:
    """What the labels of one kind of table mean; the fields are those of `formats.toml`.

    Attributes:
        key: name of the data set in options, and before its patients.
        title: for a reader.
        labelled_by: who gave the labels, in a sentence.
        several_terms: whether several of their names may stand for one label.
        blank: `negative` or `unknown`.
        labels: their name to our labels.
        either: their name to the labels of which it means one.
        unused: their name to the reason.
        reasons: their name to the reason why it is ours.
        images_of: the data set whose images these are under names that nobody can match.
        options: whatever else a user's own file says, see `read_meaning`.
    """

    key: str
    title: str
    labelled_by: str
    several_terms: bool = False
    blank: str = "unknown"
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    either: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    images_of: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """Their names that say something of our labels."""
        return (*self.labels, *self.either)

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """See `LabelMapping.rows`; last the labels that such a table says nothing of."""
        found = [(name, ", ".join(ours)) for name, ours in self.labels.items()]
        found += [(name, " or ".join(ours)) for name, ours in self.either.items()]
        found += [(name, NOT_USED) for name in self.unused]
        why = {**self.unused, **self.reasons}
        known = {ours for one in (*self.labels.values(), *self.either.values()) for ours in one}
        silent = [name for name in LABELS[:-1] if name not in known]
        rows = [(name, ours, why.get(name, "")) for name, ours in found]
        if silent:
            rows.append(("nothing", ", ".join(silent), "not labelled by this table: n/a"))
        return tuple(rows)


@cache
def built_in() -> dict[str, Meaning]:
    """The mappings of `formats.toml`, by format."""
    source = Path(__file__).with_name("formats.toml")
    blocks = tomllib.loads(source.read_text(encoding="utf-8"))
    return {
        format: _meaning(source, block.pop("dataset", format), block)
        for format, block in blocks.items()
    }


def read_meaning(source: Path, expected: Mapping[str, type | tuple[type, ...]]) -> Meaning:
    """Read a user's own mapping file, for `--format csv`.

    Args:
        source: TOML with `name`, `labels` and further keys of `formats.toml`, and options.
        expected: options that it may have, with their types.

    Raises:
        DataError: no TOML, an unknown key or label, or a label that is named twice.
    """
    try:
        block = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"--mapping: {source} could not be read as TOML: {error}") from error
    name = block.pop("name", None)
    if not isinstance(name, str) or not name.strip() or "/" in name:
        _refuse(source, f"has the name {name!r}", 'a name of the data set, as in name = "ours"')
    title, by = block.pop("title", name), block.pop("labelled_by", "Labels: see its makers.")
    known = {*expected, *_TABLES, "several_terms", "blank", "images_of"}
    for key, value in block.items():
        if key not in known:
            _refuse(source, f"has a key {key}", ", ".join(sorted({*known, "name", "title"})))
        if key in expected and not isinstance(value, expected[key]):
            _refuse(source, f"has {key} = {value!r}", "another type; see docs/evaluation.md")
    options = {key: block.pop(key) for key in expected if key in block}
    block |= {"title": title, "labelled_by": by, "options": options}
    return _meaning(source, name.strip().lower(), block)


def _meaning(source: Path, key: str, block: Mapping[str, Any]) -> Meaning:
    found = {**block}
    for table in _TABLES:
        if not isinstance(found.get(table, {}), Mapping):
            _refuse(source, f"has {table} = {found[table]!r}", f"a table [{table}]")
    for table in ("labels", "either"):
        for name, ours in found.get(table, {}).items():
            if not isinstance(ours, str | list):
                _refuse(source, f"maps {name} to {ours!r}", "a label, or a list of labels")
        found[table] = {
            name: tuple([ours] if isinstance(ours, str) else ours)
            for name, ours in found.get(table, {}).items()
        }
    meaning = Meaning(key=key, **found)
    if meaning.images_of not in ("", "nih"):
        _refuse(source, f"has images_of = {meaning.images_of!r}", "nih, or nothing")
    if meaning.blank not in BLANK_AS:
        _refuse(source, f"has blank = {meaning.blank!r}", " or ".join(BLANK_AS))
    if not meaning.labels:
        _refuse(source, "maps nothing", "a table [labels] of theirs = ours")
    named: dict[str, str] = {}
    for theirs, ours in (*meaning.labels.items(), *meaning.either.items()):
        for label in ours:
            if label not in LABELS:
                _refuse(source, f"maps {theirs} to {label}", f"one of {', '.join(LABELS)}")
            if label in named and not meaning.several_terms:
                _refuse(
                    source,
                    f"names {label} twice, for {named[label]} and for {theirs}",
                    "one name a label (or several_terms = true, where any of them is enough)",
                )
            named[label] = theirs
    return meaning


def _refuse(source: Path, found: str, expected: str) -> None:
    raise DataError(f"--mapping: {source.name} {found}; expected {expected}.")


def states_of_ours(
    meaning: Meaning, states: Mapping[str, np.ndarray], uncertain: str
) -> np.ndarray:
    """What the table says of each of our labels.

    Args:
        meaning: of the table.
        states: what it says of each of `meaning.sources`, int8 (N,).
        uncertain: a key of `UNCERTAIN_AS`.

    Returns:
        int8 (N, L) of NEGATIVE, POSITIVE and UNKNOWN, in the order of `LABELS`.
    """
    count = len(next(iter(states.values())))
    ours = np.full((count, len(LABELS)), UNKNOWN, np.int8)
    terms: dict[str, list[np.ndarray]] = {}
    for name, one in states.items():
        said = np.where(one == UNCERTAIN, UNCERTAIN_AS[uncertain], one)
        for label in meaning.labels.get(name, ()):
            terms.setdefault(label, []).append(said)
        for label in meaning.either.get(name, ()):
            # That none of them is there is known; which of them is there nobody knows.
            terms.setdefault(label, []).append(np.where(said == NEGATIVE, NEGATIVE, UNKNOWN))
    for label, values in terms.items():
        ours[:, LABELS.index(label)] = reduce(_join, values)
    return ours


def _join(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A label with several terms is there with any of them, and absent without all of them."""
    absent = np.where((one == NEGATIVE) & (other == NEGATIVE), NEGATIVE, UNKNOWN)
    return np.where((one == POSITIVE) | (other == POSITIVE), POSITIVE, absent)


def label_tuples(ours: np.ndarray) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The labels of each image, and those that the table does not say: `DataFolder.table`'s.

    Args:
        ours: see `states_of_ours`.
    """
    distinct, which = np.unique(ours, axis=0, return_inverse=True)
    has, lacks = ([_names(row == value) for row in distinct] for value in (POSITIVE, UNKNOWN))
    places = which.ravel().tolist()
    return [has[place] for place in places], [lacks[place] for place in places]


def _names(chosen: Sequence[bool] | np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, yes in zip(LABELS, chosen, strict=True) if yes)
