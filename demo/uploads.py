"""What lies in the folder of uploads: how much it is, and what nobody came for."""

import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from demo import security


class Uploads:
    """Counts uploads as they come and go, and removes those that nobody reads.

    Gradio's own sweep ends at the first upload that comes while it walks; and a walk through the
    folder at each upload kept a core busy for minutes once some thousand files lay in it.
    """

    def __init__(self, folder: Path) -> None:
        """Count what lies in `folder` already."""
        self.folder = folder
        self._kept: dict[str, tuple[int, float, str]] = {}  # file: bytes, since when, whose
        self._bytes = 0
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="sweep", daemon=True)
        for path in folder.rglob("*"):
            if path.is_file():
                self.add(path.name, path.stat().st_size)

    @property
    def full(self) -> bool:
        """Whether there is no room for another upload."""
        return self._bytes > security.MAX_FOLDER or len(self._kept) >= security.MAX_FILES

    def full_for(self, visitor: str) -> bool:
        """The same for one visitor, who has a quarter of it."""
        with self._lock:
            mine = [size for size, _, whose in self._kept.values() if whose == visitor]
        few = len(mine) < security.MAX_FILES / 4 and sum(mine) < security.MAX_FOLDER / 4
        return self.full or not few

    def add(self, name: str, size: int, visitor: str = "") -> None:
        """Count a file that is about to be written."""
        with self._lock:
            self._kept[name] = size, time.monotonic(), visitor
            self._bytes += size

    def discard(self, path: Path) -> None:
        """Remove an upload and the folder that Gradio made for it."""
        with suppress(OSError):
            path.unlink(missing_ok=True)
            self.forget(path.name)
        with suppress(OSError):  # not empty: another visitor uploaded the same bytes
            if path.parent != self.folder:
                path.parent.rmdir()

    def forget(self, name: str) -> None:
        """Count a file no longer."""
        with self._lock:
            self._bytes -= self._kept.pop(name, (0,))[0]

    def start(self) -> None:
        """Begin to sweep, every `security.SWEEP[0]` seconds."""
        self._thread.start()

    def close(self) -> None:
        """End the sweep."""
        self._ended.set()

    def sweep(self, age: float = security.SWEEP[1]) -> None:
        """Remove what is older than `age` seconds; a part of an upload after a tenth of it."""
        now, present = time.time(), set()
        for at, folders, names in os.walk(self.folder, topdown=False):
            whole = Path(at) != self.folder  # Gradio moves a whole upload into a folder of its own
            for name in names:
                path = Path(at, name)
                present.add(name)
                with suppress(OSError):
                    if now - path.lstat().st_mtime > (age if whole else age / 10):
                        self.discard(path)
            with suppress(OSError):
                if whole and not folders and not names and now - os.stat(at).st_mtime > age:
                    os.rmdir(at)
        with self._lock:
            oldest = time.monotonic() - age
            lost = [n for n, (_, since, _) in self._kept.items() if since < oldest]
        for name in set(lost) - present:  # it never came
            self.forget(name)

    def _work(self) -> None:
        while not self._ended.wait(security.SWEEP[0]):
            try:
                self.sweep()
            except Exception as error:  # whatever it was: the next one comes
                logging.getLogger("demo").error(f"Sweep of uploads: {type(error).__name__}")
