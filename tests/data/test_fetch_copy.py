"""Published copies by name, from a Hub and a web server on this machine."""

import json
from dataclasses import replace

import pytest

from chexnet.data.fetch_copy import KNOWN, fetch_copy, known_copies
from chexnet.data.formats import DataRequest, open_folder
from chexnet.errors import ConfigError, FetchError
from tests.data.copies import make_copy, pictures_of, write_zip
from tests.loopback import Answer, serving

COMMIT = "a" * 40


@pytest.fixture
def hub(phantoms, tmp_path, monkeypatch):
    """A Hub with a parquet copy and NIH's tables; the registry that names them, and the server."""
    source = make_copy("parquet", phantoms, tmp_path / "source")
    registry = tmp_path / "copies.toml"
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.usual = Answer(headers={"X-Repo-Commit": COMMIT})
        shards = sorted((source / "data").glob("*.parquet"))
        publish(server, "me/copy", {f"data/{p.name}": p.read_bytes() for p in shards})
        tables = {f"data/{p.name}": p.read_bytes() for p in source.iterdir() if p.is_file()}
        publish(server, "me/tables", tables)
        write_zip(tmp_path / "a.zip", pictures_of(phantoms))
        server.files["/a.zip"] = (tmp_path / "a.zip").read_bytes()
        registry.write_text(
            '[mine]\ntitle = "t"\nsource = "hub:me/copy"\nfiles = ["*.parquet"]\n'
            f'[web]\ntitle = "t"\nsource = "{server.url}/a.zip"\nfiles = ["a.zip"]\n'
            '[gone]\ntitle = "t"\nsource = "hub:me/copy"\nfiles = ["*.tar"]\n'
            '[tables]\ntitle = "t"\nsource = "hub:me/tables"\nfiles = ["data/*"]\n'
        )
        yield registry, server


def publish(server, repository: str, files: dict[str, bytes]) -> None:
    listed = [{"type": "file", "path": p, "size": len(d), "oid": "x"} for p, d in files.items()]
    tree = f"/api/datasets/{repository}/tree/main?recursive=True&expand=False"
    for path in (tree, tree.replace("True", "true").replace("False", "false")):
        server.files[path] = json.dumps(listed).encode()
    for path, data in files.items():
        for revision in ("main", COMMIT):
            server.files[f"/datasets/{repository}/resolve/{revision}/{path}"] = data


@pytest.mark.parametrize("name", ["mine", "web"])
def test_a_copy_comes_with_nihs_tables_and_is_data_at_once(hub, phantoms, tmp_path, name):
    registry, _ = hub
    told = []
    copy, missing = fetch_copy(
        tmp_path / "nih", name, source=registry, on_progress=lambda *t: told.append(t)
    )
    assert (copy.name, missing) == (name, [])
    assert told
    folder = open_folder(DataRequest(tmp_path / "nih"))
    assert len(folder.paths) == len(pictures_of(phantoms))
    assert folder.lists is not None


def test_a_cut_download_is_one_line_and_goes_on(hub, tmp_path, monkeypatch):
    registry, server = hub
    monkeypatch.setattr("time.sleep", lambda _: None)
    whole, server.usual = server.usual, replace(server.usual, cut=20_000)
    for path in list(server.files):
        if path.startswith("/api"):
            server.answers[path] = [whole] * 9
    with pytest.raises(FetchError, match=r"mine could not be fetched") as refusal:
        fetch_copy(tmp_path / "nih", "mine", source=registry)
    assert "\n" not in str(refusal.value)
    assert not list((tmp_path / "nih").rglob("*.parquet"))
    server.usual, server.answers = whole, {}
    fetch_copy(tmp_path / "nih", "mine", source=registry)
    assert len(list((tmp_path / "nih").rglob("*.parquet"))) == 2


def test_tables_that_cannot_be_fetched_are_named(hub, tmp_path):
    registry, server = hub
    for path in [p for p in server.files if "tables" in p]:
        del server.files[path]
    _, missing = fetch_copy(tmp_path / "nih", "mine", source=registry)
    assert "train_val_list.txt" in missing


def test_what_is_not_there_is_one_line(hub, tmp_path):
    registry, _ = hub
    with pytest.raises(ConfigError, match=r"--copy: found 'min', expected mine"):
        fetch_copy(tmp_path, "min", source=registry)
    with pytest.raises(FetchError, match=r"hub:me/copy has no file \*\.tar"):
        fetch_copy(tmp_path, "gone", source=registry)
    registry.write_text("[mine]\nsource = 3")
    with pytest.raises(ConfigError, match="cannot be read as a table of copies"):
        fetch_copy(tmp_path, "mine", source=registry)


def test_the_registry_names_each_copy_and_nobody_has_tried_one():
    known = known_copies(KNOWN)
    assert [*known] == [
        *("nih-224-zip", "nih-320", "nih-timm", "nih-chehab", "nih-subset-256", "tables")
    ]
    assert not any(copy.tried for copy in known.values())
    assert all(copy.source.startswith(("hub:", "https://")) for copy in known.values())
