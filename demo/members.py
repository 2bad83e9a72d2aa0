"""Who has logged in."""

import secrets
import threading

from starlette.requests import Request
from starlette.types import Scope

from demo.security import Logins

MOST = 20_000
"""Logins that are remembered; then the oldest has to log in again."""


class Members:
    """The page's login: names, passwords, and the cookies of whoever gave them.

    Args:
        logins: None where the page has none; everybody is a member then.
    """

    def __init__(self, logins: Logins | None) -> None:
        """Nobody has logged in yet."""
        self.logins = logins
        self._cookie = f"chexnet-{secrets.token_hex(4)}"  # browsers do not tell ports apart
        self._users: dict[str, str] = {}  # by token, the oldest first
        self._lock = threading.Lock()

    def enter(self, user: str, password: str) -> str | None:
        """The cookie of whoever logs in with this; None where it is no login."""
        good = None
        for name, secret in self.logins.both if self.logins else ():
            same = secrets.compare_digest(password.encode(), secret.encode())
            if secrets.compare_digest(user.strip().encode(), name.encode()) and same:
                good = name
        if good is None:
            return None
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._users[token] = good
            if len(self._users) > MOST:
                del self._users[next(iter(self._users))]
        return f"{self._cookie}={token}; Path=/; HttpOnly; SameSite=Lax"

    def of(self, scope: Scope) -> tuple[str, str] | None:
        """The token and the name of whoever sends a request; None where he has not logged in."""
        token = Request(scope).cookies.get(self._cookie, "")
        user = self._users.get(token)
        return (token, user) if user else None
