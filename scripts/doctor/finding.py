"""What a check has found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from chexnet.errors import ChexnetError


class State(StrEnum):
    """Whether something has to be done."""

    fine = "fine"
    note = "note"
    wrong = "WRONG"


@dataclass(frozen=True)
class Finding:
    """One line for the reader.

    Attributes:
        name: of what was looked at.
        text: what was found.
        advice: what to do; empty where nothing has to be done.
        state: see `State`.
    """

    name: str
    text: str
    advice: str = ""
    state: State = State.fine

    def __str__(self) -> str:
        advice = f"\n       Do: {self.advice}" if self.advice else ""
        return f"{self.state:<6} {self.name}: {self.text}{advice}"


def wrong(name: str, text: str, advice: str) -> Finding:
    """Something that has to be put right."""
    return Finding(name, text, advice, State.wrong)


def note(name: str, text: str, advice: str = "") -> Finding:
    """Something that works, and that the reader may want otherwise."""
    return Finding(name, text, advice, State.note)


def guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; one that fails is a finding as well."""
    try:
        yield from check()
    except ChexnetError as error:
        yield wrong(name, "refused", str(error))
    except Exception as error:  # a doctor that falls ill helps nobody
        text = " ".join(str(error).split())[:200]
        yield wrong(name, f"{type(error).__name__}: {text}", "Report this, with all these lines.")
