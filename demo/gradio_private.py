"""Every private name of Gradio's that the server leans on, and why."""

import inspect
import logging
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from chexnet.errors import ChexnetError
from demo import security

_getfile = inspect.getfile


def _no_source(thing: Any) -> str:
    """The file of anything but a component."""
    if isinstance(thing, type) and thing.__module__.startswith("gradio."):
        raise OSError
    return _getfile(thing)


# For each of its components Gradio would parse the source and write a .pyi file of type hints
# beside it: half of the 2.6 s that its import takes. Without a source file it goes on without.
with patch.object(inspect, "getfile", _no_source):
    import gradio as gr
    from gradio import component_meta, networking, queueing, routes, tunneling
    from gradio.data_classes import FileData

PRIVATE = {
    "gradio.component_meta.create_or_modify_pyi": "a file of type hints is written at each start",
    "gradio.queueing.traceback": "strangers fill the log, 30 lines for each bad question",
    "gradio.routes.traceback": "the same",
    "gradio.File.async_move_resource_to_block_cache": "Gradio copies or fetches what is named",
    "gradio.Queue.max_thread_count": "the 65th visitor waits in silence instead of being told",
    "gradio.Queue.pending_messages_per_session": "answers that nobody fetches are kept for ever",
    "gradio.Queue.pending_event_ids_session": "the same",
    "gradio.Queue.event_ids_to_events": "the same",
    "gradio.Queue.clean_events": "the same",
    "gradio.tunneling.Tunnel._read_url_from_tunnel_stream": "a lost link is not opened again",
    "gradio.tunneling.CURRENT_TUNNELS": "a tunnel that was ended is ended again at exit",
    "gradio.networking.GRADIO_API_SERVER": "no share server is found",
}
"""All of them, and what breaks without; `Queue` is what a page's `_queue` is."""
__all__ = ["PRIVATE", "Answers", "Upload", "gr", "log_in_one_line", "networking"]
__all__ += ["serve_all_admitted", "tunneling"]

# The same for the components that are made later.
component_meta.create_or_modify_pyi = lambda *_: None


def log_in_one_line() -> None:
    """Log what Gradio did not foresee in one line.

    It prints a traceback of 30 lines for each question that it does not understand: a stranger
    could fill the log, with values that he sent.
    """
    quiet = SimpleNamespace(print_exc=_log_exception, format_exc=lambda: "")
    for module in (queueing, routes):
        vars(module)["traceback"] = quiet


def _log_exception() -> None:
    kind = sys.exc_info()[0]
    logging.getLogger("demo").error(f"Gradio could not answer: {kind and kind.__name__}")


def serve_all_admitted(blocks: Any) -> None:
    """Let Gradio's queue make nobody wait before the service has counted him."""
    blocks._queue.max_thread_count = 4 * security.ADMITTED


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
        """The settings of a file component; Gradio reads them off the signature."""
        return super().get_config(gr.File)

    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str:
        """Leave an upload where it is. Gradio would copy it, remember its name, or fetch a URL."""
        return str(self._inside(str(url_or_file_path)))

    def preprocess(self, payload: FileData | None) -> Path | None:  # type: ignore[override]
        """The upload's real path, or a refusal."""
        return None if payload is None else self._inside(getattr(payload, "path", None))

    def _inside(self, path: object) -> Path:
        try:
            return security.upload_inside(path, self.folder)
        except ChexnetError as error:
            raise gr.Error(str(error), print_exception=False) from None


class Answers:
    """Answers that wait in Gradio's queue; it keeps them for ever where nobody fetches them."""

    def __init__(self, blocks: Any) -> None:
        """Look after the queue of `blocks`."""
        self._blocks, self._queue = blocks, blocks._queue
        self._owners: dict[str, str] = {}

    def has_session(self, session: str) -> bool:
        """Whether something was asked in this session that may still be fetched."""
        return session in self._queue.pending_messages_per_session

    def has_event(self, event: str) -> bool:
        """The same of one event."""
        waiting = self._queue.pending_event_ids_session
        return event in self._queue.event_ids_to_events or any(event in i for i in waiting.values())

    def understands(self, name: str | None, asked: dict[str, Any]) -> bool:
        """Whether there is this function, and with so many inputs."""
        number, data = asked.get("fn_index"), asked.get("data")
        if number is None:
            fns = [fn for fn in self._blocks.fns.values() if name and fn.api_name == name]
        else:
            fns = [fn for key, fn in self._blocks.fns.items() if key == number]
        if not fns or not isinstance(data, list):
            return bool(fns)
        inputs = fns[0].inputs
        return len(data) in (len(inputs), sum(not field.skip_api for field in inputs))

    async def make_room(self, session: str | None, owner: str) -> bool:
        """Whether another answer may be asked for; others that nobody fetched may go for it.

        Args:
            session: that asks; None for one of its own.
            owner: the visitor. Whoever lets the most wait loses his oldest.
        """
        waiting = self._queue.pending_event_ids_session
        if session is not None and len(waiting.get(session, ())) >= security.ANSWERS_EACH:
            return False
        if len(waiting) + len(self._owners) > 4 * security.ANSWERS:  # most wait for nothing
            for name in [name for name, events in waiting.items() if not events]:
                await self._forget(name)
            self._owners = {n: owner for n, owner in self._owners.items() if n in waiting}
        while sum(map(len, waiting.values())) >= security.ANSWERS:
            count: Counter[str] = Counter()
            for name, events in waiting.items():
                count[self._owners.get(name, "")] += len(events)
            [(most, _)] = count.most_common(1)
            whose = (n for n in waiting if waiting[n] and self._owners.get(n, "") == most)
            await self._forget(next(whose))
        if session is not None:
            self._owners[session] = owner
        return True

    async def _forget(self, session: str) -> None:
        await self._queue.clean_events(session_hash=session)
        self._queue.pending_messages_per_session.pop(session, None)
        self._queue.pending_event_ids_session.pop(session, None)
        self._owners.pop(session, None)
