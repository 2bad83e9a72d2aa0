"""How many pages are open."""

from dataclasses import dataclass, field


@dataclass
class Visitors:
    """Pages that are open at the moment; the request filter counts them.

    Attributes:
        open: session to how many connections hold it open.
    """

    open: dict[str, int] = field(default_factory=dict)

    def come(self, session: str) -> None:
        """A page opened its connection."""
        self.open[session] = self.open.get(session, 0) + 1

    def leave(self, session: str) -> None:
        """It closed it."""
        self.open[session] -= 1
        if not self.open[session]:
            del self.open[session]
