"""A demo as a lecturer starts it for a class: two logins, a case, a stand-in of the tunnel."""

import csv
import json
import os
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from demo import security
from demo.examples import EXAMPLES
from tests.demo.classroom.test_endpoint import Student
from tests.demo.serving import Hiding

NOTE = "<img src=x onerror=\"document.title='run'\"> & <b>bold</b>"
LOGINS = security.Logins(("class", "class-secret"), (security.LECTURER, "lecturer-secret"))

HELPER = f"""#!{sys.executable}
# Says what Gradio's helper says, and tells the test who it is.
import os, secrets, sys, time
from pathlib import Path
base = Path(BASE)
(base / "arguments").write_text("\\n".join(sys.argv[1:]))
(base / "pid.tmp").write_text(str(os.getpid()))
(base / "pid.tmp").rename(base / f"helper-{{os.getpid()}}")
print("2026/01/01 start proxy success: http://%s.links.example" % secrets.token_hex(5), flush=True)
parent = os.getppid()
while os.getppid() == parent:
    print("a line that nobody needs " * 40, flush=True)
    time.sleep(0.02)
"""


@dataclass(frozen=True)
class Room:
    """The demo: where it is served, and the folder that it and its helper write to."""

    url: str
    base: Path
    clients: list[httpx.Client] = field(default_factory=list)

    def helper(self) -> int:
        """The process of the newest stand-in."""
        pids = [int(path.name.split("-")[1]) for path in self.base.glob("helper-*")]
        [running] = [pid for pid in pids if alive(pid)]
        return running

    def client(self, login: tuple[str, str] | None, host: str | None = None) -> httpx.Client:
        """A browser that has logged in; at another name of the page where one is given."""
        headers = {"host": host} if host else {}
        client = httpx.Client(base_url=self.url, timeout=60, headers=headers)
        self.clients.append(client)
        if login:
            data = dict(zip(("username", "password"), login, strict=True))
            answer = httpx.post(f"{self.url}login", data=data, headers=headers)
            assert answer.status_code == 200
            # httpx asks no cookie of a client that only says another name.
            cookies = "; ".join(
                line.split(";")[0] for line in answer.headers.get_list("set-cookie")
            )
            client.headers["cookie"] = cookies
        return client

    def state(self) -> dict:
        """What the lecturer's panel is told."""
        with self.client(LOGINS.lecturer) as client:
            return client.get("/lecturer/state").json()

    def student(self) -> Student:
        """A phone of the class."""
        return Student(self.client(LOGINS.students), secrets.token_hex(4))


def alive(pid: int) -> bool:
    """Whether a process runs and is no corpse."""
    ps = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(ps.stdout.strip()) and not ps.stdout.startswith("Z")


def wait_until(condition, seconds: float = 60):
    """What `condition` gives, once that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def prepare(base: Path) -> None:
    """Write the case and the stand-in."""
    cases = base / "cases"
    cases.mkdir()
    (cases / "DOE_JANE.png").write_bytes(EXAMPLES[4].path.read_bytes())
    with open(cases / "cases.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ["file", "findings", "boxes", "note", "source"],
                ["DOE_JANE.png", "Mass", "[100, 100, 200, 200]", NOTE, "drawn"],
            ]
        )
    helper = base / "helper"
    helper.write_text(HELPER.replace("BASE", repr(str(base))))
    helper.chmod(helper.stat().st_mode | stat.S_IEXEC)


def run_room(base: Path, weights: Path, quick: bool = True) -> None:
    """Serve until a signal; `quick`: the watchdog does not wait between two tries."""
    log = os.open(base / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with security.private_folder(base) as folder:
        from gradio import tunneling

        from demo.room import link
        from demo.server import serve

        tunneling.BINARY_PATH = str(base / "helper")
        link.AGAIN = link.CHECK = 600.0  # the stand-in's links lead nowhere
        if quick:
            link.RETRY, link.LOOK = 0.05, 0.05
        with serve(
            folder, weights, device="cpu", share=True, share_server_address="127.0.0.1:7000",
            logins=LOGINS, cases=base / "cases", class_results=base / "results.csv",
            on_link=lambda url: print("New", url, flush=True),
        ) as running:  # fmt: skip
            ready = base / "ready.tmp"
            ready.write_text(json.dumps([running.panel.local_url, running.url, running.notes]))
            ready.rename(base / "ready")
            threading.Event().wait()


if __name__ == "__main__":
    assert "torch" not in sys.modules
    sys.meta_path.insert(0, Hiding.all_but_the_small_list())
    run_room(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "True")
