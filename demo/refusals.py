"""Answers to what does not come through, and the headers of every answer."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex"),
    # Pictures come as data: URLs; nothing of another host is ever asked for. Gradio's page needs
    # inline scripts, styles, and eval for its templates.
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        b"connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
        b"base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
    ),
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


async def refuse(send: Callable[[dict[str, Any]], Awaitable[None]], refused: Refused) -> None:
    """Answer whoever does not come through."""
    status, text = refused.status, refused.text
    # The page shows its visitor what stands in these fields, where he can do something about it.
    told = status in (401, 429, 503, 507)
    body = (json.dumps({"detail": text, "error": text}) if told else text).encode()
    headers = [
        (b"content-type", b"application/json" if told else b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
