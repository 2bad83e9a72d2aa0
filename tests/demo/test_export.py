"""The page as a folder: it needs no server, asks no other host, and opens without a network."""

import zipfile
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from chexnet.errors import FetchError
from demo import onnx_web
from demo.examples import EXAMPLES
from demo.export import write_zip
from scripts.export_page import app
from tests.demo.conftest import INPUT, ROW, hosting

READY = "navigator.serviceWorker.ready.then((one) => one.active.state)"


def test_without_onnx_runtime_the_command_says_what_fetches_it(tmp_path, monkeypatch, exported):
    monkeypatch.setattr(onnx_web, "files", dict)
    done = CliRunner().invoke(app, [str(tmp_path / "page"), "--weights", str(exported)])
    assert onnx_web.COMMAND in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path, exported):
    (tmp_path / "page").mkdir()
    done = CliRunner().invoke(app, [str(tmp_path / "page"), "--weights", str(exported)])
    assert "expected a new name" in str(done.exception)


def test_another_package_than_was_published_is_refused_and_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_web, "files", dict)
    name = f"onnxruntime-web-{onnx_web.locked()['version']}.tgz"
    package = tmp_path / "onnxruntime-web" / "-" / name
    package.parent.mkdir(parents=True)
    package.write_bytes(b"something else")
    with hosting(tmp_path) as url:
        monkeypatch.setattr(onnx_web, "_registry", lambda: url)
        with pytest.raises(FetchError, match=r"expected sha512-"):
            onnx_web.fetch()
    assert not list(onnx_web.cache_folder(onnx_web.locked()["version"]).glob("*.tgz"))


def test_a_package_for_a_learning_platform_names_all_of_its_files(tmp_path):
    folder = tmp_path / "page"
    (folder / "parts").mkdir(parents=True)
    for name in ("index.html", "parts/a&b.json"):
        (folder / name).write_text("{}")
    write_zip(folder, tmp_path / "page.zip")
    with zipfile.ZipFile(tmp_path / "page.zip") as package:
        manifest = ElementTree.fromstring(package.read("imsmanifest.xml"))
        kind = "{http://www.imsproject.org/xsd/imscp_rootv1p1p2}"
        resource = manifest.find(f"{kind}resources/{kind}resource")
        assert resource.get("href") == "index.html"
        assert resource.get("{http://www.adlnet.org/xsd/adlcp_rootv1p2}scormtype") == "sco"
        named = [file.get("href") for file in resource]
        assert {*named, "imsmanifest.xml"} == set(package.namelist())
        assert manifest.find(f".//{kind}item").get("identifierref") == resource.get("identifier")


def test_the_folder_opens_without_a_network_at_the_second_visit(browser, hosted, tmp_path):
    context = browser.new_context(bypass_csp=True)
    asked, wrong = [], []
    context.on("request", lambda request: asked.append(request.url))
    with hosting(hosted.folder) as url:
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(url)
        page.wait_for_selector(ROW)
        assert page.evaluate(READY) in ("activating", "activated")
        page.set_input_files(INPUT, EXAMPLES[4].path)
        page.locator("[data-part=facts]", has_not_text="Drawn example").wait_for()
    page.reload()  # nobody serves it any more
    page.wait_for_selector(ROW)
    assert page.evaluate("crossOriginIsolated"), "no threads"
    page.set_input_files(INPUT, EXAMPLES[4].path)
    page.locator("[data-part=facts]", has_not_text="Drawn example").wait_for()
    for tab, there in (("Thresholds", ".cx-t-body"), ("Lessons", ".cx-l-strip img")):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_selector(there)
    context.close()
    assert {urlsplit(address).netloc for address in asked} == {urlsplit(url).netloc}
    assert wrong == []


def test_on_the_served_page_a_picture_can_stay_on_this_device(visit, predictor):
    if not onnx_web.files():
        pytest.skip(f"ONNX Runtime for browsers was never fetched: {onnx_web.COMMAND}")
    page = visit()
    page.check("#cx-device input")
    asked = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.set_input_files(INPUT, EXAMPLES[4].path)
    page.wait_for_selector(ROW)
    [expected] = predictor.predict([predictor.read(EXAMPLES[4].path)])
    logits = page.evaluate("chexnet.page.state.answer.logit")
    assert logits == pytest.approx(expected.logits, abs=1e-4)
    assert not [path for path in asked if path.startswith("/api/")]
    page.uncheck("#cx-device input")
    with page.expect_request("**/api/analyse*"):
        page.set_input_files(INPUT, EXAMPLES[1].path)


def test_where_the_browser_cannot_compute_a_picture_is_not_sent_instead(visit):
    page = visit()
    if not page.locator("#cx-device").count():
        pytest.skip(f"ONNX Runtime for browsers was never fetched: {onnx_web.COMMAND}")
    asked = []
    page.route("**/onnx/*", lambda route: route.abort())
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.check("#cx-device input")
    page.set_input_files(INPUT, EXAMPLES[4].path)
    page.get_by_text("The network could not be fetched").wait_for()
    assert not [path for path in asked if path.startswith("/api/")]
