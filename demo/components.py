"""Gradio's components, made safe: an upload that is never opened."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio import component_meta
from gradio.data_classes import FileData

from chexnet.errors import ChexnetError
from demo import security

# Gradio would write a .pyi file of type hints beside every file that defines a component.
component_meta.create_or_modify_pyi = lambda *_: None

ASKED: dict[str, Any] = {"api_visibility": "private", "queue": False}
"""Of what the page's scripts ask: one request and one answer, that of choices.js. In the queue a
question would wait for others, and be dropped in silence while another of its kind is open."""


class Upload(gr.File):
    """What `/predict` is given: a path inside the folder of uploads, unopened.

    `preprocess` is replaced whole: Gradio's own copies what a request names.
    """

    is_template = True  # Gradio knows it as its own file component

    def __init__(self, folder: Path, **options: Any) -> None:
        """Accept files of `folder` only."""
        self.folder = folder
        super().__init__(file_count="single", type="filepath", **options)

    def get_config(self) -> dict[str, Any]:  # type: ignore[override]
        """The page's settings of a file component; Gradio reads them off the signature."""
        return super().get_config(gr.File)

    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str:
        """Leave an upload where it is. Gradio would copy it, remember its name, or fetch a URL."""
        try:
            return str(security.upload_inside(str(url_or_file_path), self.folder))
        except ChexnetError as error:
            raise user_error(error) from None

    def preprocess(self, payload: FileData | None) -> Path | None:  # type: ignore[override]
        """The upload's real path, or a refusal."""
        if payload is None:
            return None
        try:
            return security.upload_inside(getattr(payload, "path", None), self.folder)
        except ChexnetError as error:
            raise user_error(error) from None


def own_html(value: str, js: str | None = None, **options: Any) -> gr.HTML:
    """HTML of our own making, in our own style."""
    return gr.HTML(value, js_on_load=js, apply_default_css=False, **options)


def user_error(error: Exception) -> gr.Error:
    """An error as the visitor sees it: our own words or one general sentence, no traceback."""
    known = isinstance(error, ChexnetError)
    text = str(error) if known else "Something went wrong here. Please try another picture."
    return gr.Error(text, print_exception=False, duration=12, title="Not shown")
