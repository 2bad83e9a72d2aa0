"""What a request's body may hold."""

import json
import math
import re
from typing import Any

from demo import security
from demo.refusals import Refused

_BOUNDARY = re.compile(
    rb'multipart/form-data; *boundary="?([\w\'()+,./:=?-]{1,70})"?', re.IGNORECASE
)
# Gradio keeps an upload under a hash of its bytes and this name: with one name for all, a class
# that uploads the same picture would share one file, which goes when the first is answered.
_PART = (
    b'Content-Disposition: form-data; name="files"; filename="%s"\r\n'
    b"Content-Type: application/octet-stream"
)
_SESSION = re.compile(r"[\w.-]{1,64}")
_DIGITS = 17
"""Of an integer: JavaScript's have at most 16, and an int of 310 has no float."""


def nameless(body: bytes, kind: bytes, name: str) -> bytes:
    """An upload of one file, with a header and a name of our own instead of the visitor's.

    Raises:
        Refused: it is no upload of one file.
    """
    boundary = _BOUNDARY.match(kind)
    if not boundary:
        raise Refused(400, "Expected one picture as multipart/form-data.")
    line = b"--" + boundary[1]
    head, end, _ = body[: security.MAX_HEADERS].partition(b"\r\n\r\n")
    if not head.startswith(line + b"\r\n") or not end:
        raise Refused(400, "The name of the file is too long, or this is no upload.")
    if b"filename" not in head or body.count(b"\r\n" + line) != 1:
        raise Refused(400, "Expected one picture, and nothing else.")
    part = _PART % name.encode()
    return b"".join((line, b"\r\n", part, b"\r\n\r\n", body[len(head) + 4 :]))


def json_object(body: bytes) -> dict[str, Any]:
    """The object that a body holds.

    Raises:
        Refused: it holds none, or a number that no float holds.
    """
    try:
        content = json.loads(body, parse_int=_integer, parse_float=_real, parse_constant=_real)
    except (ValueError, RecursionError):
        raise Refused(422, "Expected JSON with numbers of an ordinary size.") from None
    if not isinstance(content, dict):
        raise Refused(422, "Expected a JSON object.")
    return content


def question(body: bytes) -> dict[str, Any]:
    """What a program asks of one of Gradio's functions.

    Raises:
        Refused: it has not the form that gradio_client gives it.
    """
    asked = json_object(body)
    forms: dict[str, tuple[type, ...]] = {
        "data": (list, dict),
        "event_data": (dict,),
        "fn_index": (int,),
        "trigger_id": (int,),
        "session_hash": (str,),
    }
    for name, kinds in forms.items():
        value = asked.get(name)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise Refused(422, f"Expected another kind of {name}.")
    if not _SESSION.fullmatch(asked.get("session_hash") or "-"):
        raise Refused(422, "Expected a question as gradio_client asks it.")
    return asked


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _DIGITS:
        raise ValueError("too large")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value
