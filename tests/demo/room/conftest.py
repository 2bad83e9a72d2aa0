"""A class's demo, served."""

import json

import pytest

from tests.conftest import needs_modes, skip_unless
from tests.demo.room.room import Room, alive, prepare, run_room
from tests.processes import start, wait_for


@pytest.fixture(scope="module")
def opened(trained, tmp_path_factory):
    """Opens such demos; ends them, and looks for what they left."""
    skip_unless(needs_modes)  # the stand-in of the tunnel's helper is a script
    running, rooms = [], []

    def made(quick: bool = True) -> Room:
        base = tmp_path_factory.mktemp("room")
        prepare(base)
        process = start(run_room, base, trained / "best_chexnet_params.pth", quick)
        running.append((base, process))
        wait_for(base / "ready", [process])
        url, public, notes = json.loads((base / "ready").read_text())
        assert public.endswith(".links.example")
        assert notes == []
        rooms.append(Room(url, base))
        return rooms[-1]

    yield made
    for one in rooms:
        for client in one.clients:
            client.close()
    for base, process in running:
        process.terminate()
        process.join(30)
        process.kill()
        assert process.exitcode == 0
        assert not list(base.glob("chexnet-demo-*")), "the private folder was left"
        pids = [int(path.name.split("-")[1]) for path in base.glob("helper-*")]
        assert not [pid for pid in pids if alive(pid)], "a helper was left"


@pytest.fixture(scope="module")
def room(opened):
    """One for a module's tests."""
    return opened()
