"""A class's demo, served."""

import json
import subprocess
import sys

import pytest

from demo.server import WITHOUT_PAIRS
from tests.conftest import ROOT, needs_modes, skip_unless
from tests.demo.room.room import Room, alive, prepare, wait_until


@pytest.fixture(scope="module")
def opened(exported, tmp_path_factory):
    """Opens such demos; ends them, and looks for what they left."""
    skip_unless(needs_modes)  # the stand-in of the tunnel's helper is a script
    running, rooms = [], []

    def open_room(quick: bool = True) -> Room:
        base = tmp_path_factory.mktemp("room")
        prepare(base)
        command = [sys.executable, "-m", "tests.demo.room.room", base, exported, quick]
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT)
        running.append((base, process))
        wait_until(lambda: process.poll() is not None or (base / "ready").exists(), 240)
        url, public, notes = json.loads((base / "ready").read_text())
        assert public.endswith(".links.example")
        assert notes == [WITHOUT_PAIRS]
        rooms.append(Room(url, base))
        return rooms[-1]

    yield open_room
    for room in rooms:
        for client in room.clients:
            client.close()
    for base, process in running:
        process.terminate()
        assert process.wait(30) == 0
        assert not list(base.glob("chexnet-demo-*")), "the private folder was left"
        pids = [int(path.name.split("-")[1]) for path in base.glob("helper-*")]
        assert not [pid for pid in pids if alive(pid)], "a helper was left"


@pytest.fixture(scope="module")
def room(opened):
    """One for a module's tests."""
    return opened()
