"""Reporting checklists, filled in as far as a run knows: `checklists.toml`.

What a run does not know is marked as the authors' to state: a checklist that looks complete and is
not would be worse than none.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("checklists.toml")
BY_AUTHORS = "To be stated by the authors."
REST_BY_AUTHORS = "The rest is to be stated by the authors."


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes:
        number: as the checklist numbers it.
        section: of the checklist.
        title: short, in this project's words.
        facts: names of what a run may know of it, see `run_facts`.
        whole: these answer it completely.
    """

    number: str
    section: str
    title: str
    facts: tuple[str, ...]
    whole: bool


@dataclass(frozen=True)
class Checklist:
    """One checklist.

    Attributes:
        key: for file names.
        name: of the checklist.
        source: publication and address.
        read: where its items were read.
        items: in its order.
    """

    key: str
    name: str
    source: str
    read: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Answer:
    """An item, and what the run says of it; `by_run` where it says anything."""

    item: Item
    text: str
    by_run: bool


@dataclass(frozen=True)
class Filled:
    """A checklist with an answer to every item."""

    checklist: Checklist
    answers: list[Answer]

    @property
    def by_run(self) -> int:
        """Items that the run says something of."""
        return sum(one.by_run for one in self.answers)


@cache
def checklists() -> tuple[Checklist, ...]:
    """Every checklist, in the order of the file."""
    return tuple(
        Checklist(
            key=row["key"],
            name=row["name"],
            source=row["source"],
            read=row["read"],
            items=tuple(
                Item(
                    number=item["number"],
                    section=item["section"],
                    title=item["title"],
                    facts=tuple(item.get("facts", ())),
                    whole=item.get("whole", False),
                )
                for item in row["items"]
            ),
        )
        for row in tomllib.loads(FILE.read_text(encoding="utf-8"))["checklist"]
    )


def filled(facts: Mapping[str, str]) -> list[Filled]:
    """Answer every item of every checklist.

    Args:
        facts: see `run_facts`; empty where the run does not know.

    Raises:
        KeyError: an item names a fact that there is not.
    """
    return [
        Filled(one, [_answer(item, [facts[name] for name in item.facts]) for item in one.items])
        for one in checklists()
    ]


def _answer(item: Item, given: list[str]) -> Answer:
    known = [text for text in given if text]
    if not known:
        return Answer(item, BY_AUTHORS, False)
    rest = [] if item.whole and len(known) == len(given) else [REST_BY_AUTHORS]
    return Answer(item, " ".join([*known, *rest]), True)
