"""The named API for programs, `/predict` and `/heatmap`, by Gradio's public surface."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.errors import ChexnetError, ConfigError
from chexnet.explain import CLOSED_FORM
from chexnet.imaging.radiograph import Radiograph
from demo.answer import answer_of
from demo.gradio_private import Upload, gr
from demo.kept import EXPIRED, Analysis
from demo.pictures import data_url, png, with_heat
from demo.service import Service


def user_error(error: Exception) -> gr.Error:
    """An error as the visitor sees it: our own words or one general sentence, no traceback."""
    known = isinstance(error, ChexnetError)
    text = str(error) if known else "Something went wrong here. Please try another picture."
    return gr.Error(text, print_exception=False)


def guarded(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Turn every exception into words for the visitor; none shows a traceback."""

    @functools.wraps(function)
    async def called(*arguments: Any) -> Any:
        try:
            return await function(*arguments)
        except Exception as error:
            raise user_error(error) from None

    return called


class NamedApi:
    """Both endpoints. Gradio's session holds the id of the picture that was given last."""

    def __init__(self, service: Service) -> None:
        """Answer through `service`."""
        self.service, self.predictor = service, service.predictor

    def blocks(self) -> gr.Blocks:
        """What Gradio serves them by; no page of it can be reached."""
        hidden: dict[str, Any] = {"visible": False}
        # Without `delete_cache`, whose sweep ends in silence: see `demo.uploads`.
        blocks: gr.Blocks
        with gr.Blocks(title="chexnet", analytics_enabled=False) as blocks:
            last = gr.State("")
            result = gr.JSON(label="result", **hidden)
            upload = Upload(self.service.folder, label="picture", **hidden)
            finding = gr.Textbox(label="finding", **hidden)
            methods = list(self.predictor.methods)
            method = gr.Dropdown(methods, value=CLOSED_FORM, label="method", **hidden)
            gr.Button(**hidden).click(
                guarded(self.predict),
                [last, upload],
                [last, result],
                api_name="predict",
                concurrency_limit=None,  # the service counts who waits
                api_description="Probabilities, evidence and the first heatmap of a radiograph.",
            )
            gr.Button(**hidden).click(
                guarded(self.heatmap),
                [last, finding, method],
                [result],
                api_name="heatmap",
                concurrency_limit=None,
                api_description="Another finding's heatmap of the picture given to /predict.",
            )
        return blocks

    async def predict(self, last: str, path: Path | None) -> tuple[str, dict[str, Any]]:
        """Probabilities, evidence and the first heatmap of a picture."""
        if path is None:
            raise ConfigError("Found no picture, expected one.")
        analysis = await self.service.analyse_upload(path)
        self.service.kept.add(analysis, last)
        plain = await asyncio.to_thread(answer_of, analysis, self.predictor, anyway=True)
        for of_the_page_alone in ("id", "example", "preview"):
            del plain[of_the_page_alone]
        named = {
            "probabilities": plain["probability"],
            "thresholds": plain["threshold"],
            "over_threshold": self.predictor.findings_over_threshold(analysis.prediction),
        }
        return analysis.id, plain | named | await self._heatmap(
            analysis, plain["first"], CLOSED_FORM
        )

    async def heatmap(self, last: str, finding: str, method: str) -> dict[str, Any]:
        """Another heatmap of the picture that `predict` was given."""
        return await self._heatmap(self.service.kept.get(last), finding, method)

    async def _heatmap(self, analysis: Analysis, finding: str, method: str) -> dict[str, Any]:
        heat = await self.service.heatmap(analysis, finding, method)
        if analysis.radiograph is None:
            raise ConfigError(EXPIRED)
        drawn = await asyncio.to_thread(self._overlay, analysis.radiograph, heat, method)
        return {
            "finding": finding,
            "method": method,
            "speaks_for_it": bool(heat.any()),
            "unit": "logits" if method == CLOSED_FORM else "none",
            "heatmap": heat.tolist(),
            "overlay": data_url(drawn),
        }

    def _overlay(self, radiograph: Radiograph, heat: np.ndarray, method: str) -> bytes:
        preprocessing = self.predictor.metadata.preprocessing
        return png(with_heat(radiograph.as_uint8(), heat, preprocessing, method))
