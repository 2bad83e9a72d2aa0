"""How many pages are open, and who has logged in."""

from dataclasses import dataclass, field

from starlette.requests import Request


def login_of(request: Request) -> tuple[str, str] | None:
    """Token and name of a browser that has logged in, as Gradio looks them up; else None."""
    app = request.app  # Gradio's, which keeps who has logged in
    for name in (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}"):
        token = request.cookies.get(name)
        if token in app.tokens:
            return token, app.tokens[token]
    return None


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
