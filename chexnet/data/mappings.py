"""From another data set's labels to ours: `formats.toml`, and a user's own mapping file.

Shapes: N images, L labels of the vocabulary.
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from chexnet.data.tables import read_toml, shown
from chexnet.errors import DataError
from chexnet.labels import LABELS, folded

NEGATIVE, POSITIVE, UNCERTAIN, UNKNOWN = 0, 1, 2, 3
"""What a table says of one label of one image."""
UNCERTAIN_AS = {"ignore": UNKNOWN, "positive": POSITIVE, "negative": NEGATIVE}
"""`--uncertain`: what an uncertain label is taken for."""
BLANK_AS = {"negative": NEGATIVE, "unknown": UNKNOWN}
NOT_USED = "not used"
OF_NIH = ("chestxdet", "siim")
"""How the names of sets begin that are made of NIH's images under other names (ChestX-Det: Lian et
al., arXiv 2104.10326; it also has an edition of ten categories)."""
KEYS: dict[str, type] = {
    **dict.fromkeys(("title", "labelled_by", "blank", "images_of"), str),
    **dict.fromkeys(("several_terms", "invert"), bool),
    **dict.fromkeys(("labels", "either", "unused", "reasons"), dict),
}
"""What a mapping may say, as `formats.toml` does."""
SIGNS: dict[str, type] = dict.fromkeys(("positive", "negative", "uncertain"), list)
"""Values of a user's own table."""


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
        invert: turn over the images that were stored as MONOCHROME1.
        signs: the values of a user's own table to what they say; empty for the usual ones.
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
    invert: bool = False
    signs: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """Their names that say something of our labels."""
        return (*self.labels, *self.either)

    def only(self, sources: Collection[str]) -> "Meaning":
        """The same of a table that says nothing of their other names."""
        kept = (
            {k: v for k, v in all.items() if k in sources} for all in (self.labels, self.either)
        )
        labels, either = kept
        return replace(self, labels=labels, either=either)

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """See `LabelMapping.rows`; last the labels that such a table says nothing of."""
        told = [(name, ", ".join(ours)) for name, ours in self.labels.items()]
        told += [(name, " or ".join(ours)) for name, ours in self.either.items()]
        told += [(name, NOT_USED) for name in self.unused]
        why = {**self.unused, **self.reasons}
        known = {ours for group in (*self.labels.values(), *self.either.values()) for ours in group}
        silent = [name for name in LABELS[:-1] if name not in known]
        rows = [(name, ours, why.get(name, "")) for name, ours in told]
        if silent:
            rows.append(("nothing", ", ".join(silent), "not labelled by this table: n/a"))
        return tuple(rows)


@cache
def built_in() -> dict[str, Meaning]:
    """The mappings of `formats.toml`, by format."""
    source = Path(__file__).with_name("formats.toml")
    blocks = tomllib.loads(source.read_text(encoding="utf-8"))
    meanings = {}
    for format, own in blocks.items():
        block = blocks.get(own.pop("like", ""), {}) | own
        meanings[format] = _meaning(source, block.pop("dataset", format), block)
    return meanings


def read_meaning(source: Path, options: dict[str, type]) -> Meaning:
    """Read a user's own mapping file, for `--format csv`.

    Args:
        source: TOML with `name`, `labels` and further keys of `formats.toml`, and options.
        options: that it may have beside `SIGNS`, with their types.

    Raises:
        DataError: no TOML; an unknown key or label; a value of another type than expected; a label,
            a name or a value that stands there twice.
    """
    block = read_toml(source)
    known = {"name": str} | KEYS | SIGNS | options
    for key, value in block.items():
        if key not in known:
            _refuse(source, f"has a key {shown(key)}", ", ".join(sorted(known)))
        _check_type(source, key, value, known[key])
    name = block.pop("name", "").strip()
    if not name or "/" in name:
        _refuse(source, f"has the name {name!r}", 'a name of the data set, as in name = "ours"')
    block = {"title": name, "labelled_by": "Labels: see its makers."} | block
    if folded(name).startswith(OF_NIH):
        block["images_of"] = "nih"
    signs: dict[str, int] = {}
    meant: dict[str, str] = {}
    for key, state in (("positive", POSITIVE), ("negative", NEGATIVE), ("uncertain", UNCERTAIN)):
        for value in (str(value).strip() for value in block.pop(key, ())):
            if meant.setdefault(_bare(value), key) != key:
                both = f"lists the value {shown(value)!r} as {meant[_bare(value)]} and as {key}"
                _refuse(source, both, "each value once")
            signs[value] = state
    given = {key: block.pop(key) for key in options if key in block}
    return _meaning(source, name.lower(), block | {"signs": signs, "options": given})


def _bare(value: str) -> str:
    """A value in lower case, and a number as such: 1 and 1.0 are one."""
    try:
        return str(float(value))
    except ValueError:
        return value.casefold()


def _check_type(source: Path, key: str, value: Any, expected: type) -> None:
    """Refuse a value of another type; text and lists have something in them, and lists no lists."""
    fits = type(value) is expected and (expected is bool or bool(value) or key == "images_of")
    if fits and expected is list:
        fits = all(type(item) in (str, int, float) and item != "" for item in value)
    if fits and expected is dict:
        text = key in ("unused", "reasons")
        kinds, wanted = ((str,), "text") if text else ((str, list), "a label, or a list of labels")
        for theirs, ours in value.items():
            if not (theirs.strip() and type(ours) in kinds and ours):
                _refuse(source, f"maps {shown(theirs)} to {shown(repr(ours))}", wanted)
    if not fits:
        told = {str: "text", list: "a list of text or numbers", bool: "true or false"}
        wanted = told.get(expected, f"a table [{key}]")
        _refuse(source, f"has {key} = {shown(repr(value))}", wanted)


def _meaning(source: Path, key: str, block: Mapping[str, Any]) -> Meaning:
    fields = {**block}
    for table in ("labels", "either"):
        fields[table] = {
            name: tuple([ours] if isinstance(ours, str) else ours)
            for name, ours in fields.get(table, {}).items()
        }
    meaning = Meaning(key=key, **fields)
    if meaning.images_of not in ("", "nih"):
        _refuse(source, f"has images_of = {shown(repr(meaning.images_of))}", "nih, or nothing")
    if meaning.blank not in BLANK_AS:
        _refuse(source, f"has blank = {shown(repr(meaning.blank))}", " or ".join(BLANK_AS))
    if not meaning.labels:
        _refuse(source, "maps nothing", "a table [labels] of theirs = ours")
    theirs_once = [folded(name) for name in (*meaning.sources, *meaning.unused)]
    for name in (*meaning.sources, *meaning.unused):
        if theirs_once.count(folded(name)) > 1:
            _refuse(source, f"lists {shown(name)} twice", "each of their names in one place")
    named: dict[str, str] = {}
    for theirs, ours in (*meaning.labels.items(), *meaning.either.items()):
        for label in ours:
            if label not in LABELS:
                wanted = f"one of {', '.join(LABELS)}"
                _refuse(source, f"maps {shown(theirs)} to {shown(label)}", wanted)
            if label in named and not meaning.several_terms:
                _refuse(
                    source,
                    f"names {label} twice, for {shown(named[label])} and for {shown(theirs)}",
                    "one name a label (or several_terms = true, where any of them is enough)",
                )
            named[label] = theirs
    return meaning


def _refuse(source: Path, fault: str, expected: str) -> NoReturn:
    raise DataError(f"--mapping: {source.name} {fault}; expected {expected}.")


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
    for name, state in states.items():
        said = np.where(state == UNCERTAIN, UNCERTAIN_AS[uncertain], state)
        for label in meaning.labels.get(name, ()):
            terms.setdefault(label, []).append(said)
        for label in meaning.either.get(name, ()):
            # That none of them is there is known; which of them is there nobody knows.
            terms.setdefault(label, []).append(np.where(said == NEGATIVE, NEGATIVE, UNKNOWN))
    for label, values in terms.items():
        ours[:, LABELS.index(label)] = reduce(_join, values)
    return ours


def _join(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A label with several terms is there with any of them, and absent without all of them."""
    absent = np.where((first == NEGATIVE) & (second == NEGATIVE), NEGATIVE, UNKNOWN)
    return np.where((first == POSITIVE) | (second == POSITIVE), POSITIVE, absent)


def label_tuples(ours: np.ndarray) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The labels of each image, and those that the table does not say: `DataFolder.table`'s.

    Args:
        ours: see `states_of_ours`.
    """
    # One number a row: sorting whole rows takes twenty times as long.
    which, distinct = pd.factorize(ours.astype(np.int64) @ 4 ** np.arange(len(LABELS)))
    rows = distinct[:, None] // 4 ** np.arange(len(LABELS)) % 4
    has, lacks = ([_names(row == value) for row in rows] for value in (POSITIVE, UNKNOWN))
    places = which.tolist()
    return [has[place] for place in places], [lacks[place] for place in places]


def _names(chosen: Sequence[bool] | np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, yes in zip(LABELS, chosen, strict=True) if yes)
