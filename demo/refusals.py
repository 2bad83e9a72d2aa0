"""Answers to what does not come through, and the headers of every answer."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import PlainTextResponse, Response

FRESH = {"cache-control": "no-store"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'self'; form-action 'self'"
)
"""Scripts and styles are files of ours; nothing of another host is ever asked for."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # without any, a browser calls a form of the page null
    (b"x-robots-tag", b"noindex"),
    (b"content-security-policy", f"{POLICY}; frame-ancestors 'self'".encode()),
)
HUB = b" https://huggingface.co"
"""May show a Space in its page; stands after the last word of the policy."""


class Refused(Exception):
    """A request that does not come through."""

    def __init__(self, status: int, text: str) -> None:
        """Answer `status` and `text`."""
        super().__init__(text)
        self.status, self.text = status, text


class Left(Exception):
    """The visitor left while he was still sending."""


def too_large(limit: int) -> Refused:
    """The refusal of a body of more bytes."""
    return Refused(413, f"At most {limit // 2**10:,} KB can be sent.")


def text(status: int, words: str) -> Response:
    """Words for a visitor; the page shows what is text, and nothing else of a refusal."""
    return PlainTextResponse(words, status, FRESH)


async def refuse(send: Callable[[Any], Awaitable[None]], refused: Refused, program: bool) -> None:
    """Answer whoever does not come through; a `program` reads JSON, as of Gradio."""
    status, words = refused.status, refused.text
    program = program and status in (401, 429, 503, 507)  # else its visitor can do nothing
    body = (json.dumps({"detail": words, "error": words}) if program else words).encode()
    headers = [
        (b"content-type", b"application/json" if program else b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
