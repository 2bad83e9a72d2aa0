"""Many honest visitors: each gets his own answer, nothing of him stays, and the 65th is told."""

import asyncio
import base64
import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from unittest import mock

import httpx
import numpy as np
from gradio_client import Client, handle_file
from PIL import Image

from chexnet.labels import FINDINGS
from demo import security
from demo.service import Batcher
from tests.conftest import answers, needs_signals
from tests.demo.conftest import Web, entered, file_data, files, png, run


def close(given: dict, expected: dict) -> bool:
    return given.keys() == expected.keys() and all(
        abs(given[name] - expected[name]) < 1e-4 for name in expected
    )


def right(predictor, seed: int) -> dict:
    return answers(predictor, [png(seed)])[0].probabilities


def answer(said: str) -> dict:
    return json.loads(said)[-1]


def settle(condition) -> None:
    """Wait until it is so; the server ends requests a little after their answer."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_gradio_client_gets_probabilities_and_then_any_heatmap(served, predictor, tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(png(5))
    client = Client(served.url, verbose=False)
    first = client.predict(handle_file(path), api_name="/predict")
    assert set(first) >= {"probabilities", "thresholds", "overlay", "gate"}
    assert close(first["probabilities"], right(predictor, 5))
    assert first["trained_on"] == "phantoms"
    read = predictor.read(png(5))
    [prediction] = predictor.predict([read])
    for name in [n for n in predictor.classes if n in FINDINGS][:3]:
        other = client.predict(finding=name, api_name="/heatmap")
        np.testing.assert_allclose(other["heatmap"], prediction.heatmap(name), atol=1e-3)
        picture = base64.b64decode(other["overlay"].removeprefix("data:image/png;base64,"))
        shown = np.asarray(Image.open(BytesIO(picture)))
        np.testing.assert_allclose(
            shown, predictor.overlay(read.radiograph, prediction, name), atol=2
        )


def test_a_heatmap_without_a_picture_asks_to_upload_again(web):
    kind, said = web.ask("heatmap", "Mass", "Grad-CAM")
    assert kind == "error"
    assert "upload it again" in said


def test_two_sessions_never_see_each_others_picture(web, predictor):
    sessions = {f"session{n}": n for n in (1, 2)}
    for session, seed in sessions.items():
        web.ask("predict", file_data(web.upload(png(seed))), session=session)
    for session, seed in reversed(sessions.items()):
        _, said = web.ask("heatmap", "Mass", "Grad-CAM", session=session)
        expected = answers(predictor, [png(seed)])[0].heatmap("Mass")
        np.testing.assert_allclose(answer(said)["heatmap"], expected, atol=1e-3)


def test_sixty_four_wait_the_next_is_told_and_each_gets_his_own(served, web, predictor):
    paths = [web.upload(png(seed)) for seed in range(security.ADMITTED)]
    late = web.upload(png(1000))
    served.hold.touch()  # the model stands still, so that all wait at once
    try:
        events = [
            web.post("/gradio_api/call/predict", json={"data": [file_data(path)]}).json()[
                "event_id"
            ]
            for path in paths
        ]
        # A file goes when it is read or refused: only the 65th can be told now.
        time.sleep(0.5)
        kind, said = web.ask("predict", file_data(late))
        assert kind == "error"
        assert "The class is full" in said
        assert late not in files(served.folder)
    finally:
        served.hold.unlink()
    with ThreadPoolExecutor(16) as pool:
        received = list(pool.map(lambda event: web.wait("predict", event), events))
    assert [kind for kind, _ in received] == ["complete"] * security.ADMITTED
    expected = answers(predictor, [png(seed) for seed in range(security.ADMITTED)])
    for (_, said), prediction in zip(received, expected, strict=True):
        assert close(answer(said)["probabilities"], prediction.probabilities)
    assert files(served.folder) == []
    assert web.ask("predict", file_data(web.upload(png())))[0] == "complete", "places came back"


def test_a_class_that_uploads_the_same_picture_at_once_is_answered_one_and_all(served, web):
    paths = [web.upload(png(8)) for _ in range(5)]
    assert len(set(paths)) == 5
    assert [web.ask("predict", file_data(path))[0] for path in paths] == ["complete"] * 5
    assert files(served.folder) == []


def test_choosing_a_finding_does_not_wait_for_the_network(served, web):
    web.ask("predict", file_data(web.upload(png())), session="quick")
    served.hold.touch()
    try:
        body = {"data": [file_data(web.upload(png(1)))]}
        event = web.post("/gradio_api/call/predict", json=body).json()["event_id"]
        kind, _ = web.ask("heatmap", "Mass", "Grad-CAM", session="quick")
        assert kind == "complete"
    finally:
        served.hold.unlink()
    assert web.wait("predict", event)[0] == "complete"


def test_one_who_leaves_while_he_waits_leaves_no_file_and_no_place(served, web):
    served.hold.touch()
    try:
        for seed in range(security.ADMITTED):
            body = {"data": [file_data(web.upload(png(seed)))]}
            event = web.post("/gradio_api/call/predict", json=body).json()["event_id"]
            if seed < 4:
                with web.client.stream("GET", f"/gradio_api/call/predict/{event}"):
                    pass  # closed at once
    finally:
        served.hold.unlink()
    settle(lambda: files(served.folder) == [])
    settle(lambda: web.ask("predict", file_data(web.upload(png())))[0] == "complete")


def test_fifty_patients_leave_no_trace(served, web, capfd):
    for number in range(50):
        data = png(number) if number % 5 else b"damaged"
        name = f"DOE_JANE_{number}.png"
        kind, said = web.ask("predict", file_data(web.upload(data, name)))
        assert kind == ("complete" if number % 5 else "error")
        assert "DOE_" not in said
    for log in (served.log.read_text(), *capfd.readouterr()):
        assert "DOE_" not in log
    assert files(served.folder) == []
    everything = [str(path) for path in served.folder.parent.rglob("*")]
    assert not [path for path in everything if "DOE_" in path]


def sessions() -> int:
    """How many Gradio remembers, of all demos in this process."""
    return sum(type(held).__name__ == "SessionState" for held in gc.get_objects())


def test_gradio_remembers_only_so_many_sessions(exported, tmp_path, monkeypatch):
    from demo.server import serve  # here: it takes a second

    monkeypatch.setattr(security, "SESSIONS", 4)
    monkeypatch.setattr("demo.classroom.pool.PhantomCases.start", lambda self: None)
    with security.private_folder(tmp_path) as folder:
        how = {"device": "cpu", "pool": 0}
        with (
            entered(serve(folder, exported, **how)) as running,
            httpx.Client(base_url=running.url) as client,
        ):
            web, before = Web(client), sessions()
            for seed in range(12):  # each in a session of its own
                kind, _ = web.ask("predict", file_data(web.upload(png(seed))))
                assert kind == "complete"
            assert sessions() - before <= 5


@needs_signals
def test_a_password_opens_the_page_and_stopping_leaves_nothing(exported, tmp_path):
    command = [
        sys.executable, "-m", "demo", "--host", "0.0.0.0", "--weights",
        str(exported),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**_environment(), "TMPDIR": str(tmp_path)}
    )
    said = ""
    while "Stop with" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    try:
        assert str(exported) in said
        user, password = re.search(r"User: (\S+)  Password: (\S+)", said).groups()
        port = re.search(r"Open http://\S+:(\d+)", said)[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            assert client.get("/config").status_code == 401
            upload = client.post("/gradio_api/upload", files={"files": ("a.png", png())})
            assert upload.status_code == 401
            wrong = client.post("/login", data={"username": user, "password": "guess"})
            assert wrong.status_code == 401
            client.post("/login", data={"username": user, "password": password})
            assert client.get("/config").status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.stdout.close()
    assert not list(tmp_path.glob("chexnet-demo-*"))


def test_without_a_public_link_the_page_is_served_locally_and_says_how_to_go_on(
    exported, tmp_path, monkeypatch
):
    from demo.gradio_private import networking  # here: it takes a second
    from demo.server import serve

    # Nobody listens there.
    monkeypatch.setattr(networking, "GRADIO_API_SERVER", "http://127.0.0.1:9/")
    monkeypatch.setattr("demo.classroom.pool.PhantomCases.start", lambda self: None)
    logins = security.credentials(None, "127.0.0.1", share=True)
    with mock.patch.dict(os.environ), security.private_folder(tmp_path) as folder:
        how = {"share": True, "logins": logins, "device": "cpu", "pool": 0}
        with entered(serve(folder, exported, **how)) as running:
            assert httpx.get(running.url).status_code == 200
    assert "127.0.0.1" in running.url
    assert "share servers cannot be reached" in running.notes[0]
    assert "python -m demo --host 0.0.0.0" in running.notes[0]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_a_batch_that_fails_tells_each_who_waits():
    def fails(given):
        raise RuntimeError("no")

    batcher = Batcher(fails)

    async def ask():
        item = np.zeros((8, 8), np.uint8)
        waiting = [asyncio.wrap_future(batcher.submit(item)) for _ in range(3)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [str(error) for error in run(ask())] == ["no"] * 3
    batcher.close()
