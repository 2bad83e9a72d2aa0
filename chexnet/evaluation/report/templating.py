"""The templates' engine, as all pages use it."""

from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from chexnet.evaluation.report.tables import format_interval, format_value
from chexnet.labels import spoken

NOT_CLINICAL = "Research and education only, never for clinical use."


def environment(**options: Any) -> Environment:
    """The templates of this folder; an unknown name in one is an error, never empty text.

    Args:
        options: further ones of jinja2, `autoescape` among them.
    """
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    found.filters |= {
        "figure": format_value,
        "span": partial(format_interval, between="\u2013"),
        "spoken": spoken,
    }
    return found
