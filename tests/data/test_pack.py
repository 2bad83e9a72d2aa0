import io
import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chexnet.data import pack as packing
from chexnet.data.datamodule import open_datamodule
from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.data.pack import DONE, Pack, pack_folder, prepare
from chexnet.errors import DataError
from chexnet.transforms import Preprocessing
from tests.conftest import rows_of
from tests.processes import start

SMALL = Preprocessing(size=64)


def whole(folder) -> tuple[list, bytes]:
    return json.loads((folder / "pack.json").read_text())["names"], (
        folder / "pixels.u8"
    ).read_bytes()


def test_a_pack_holds_every_image_once_and_says_how_far_it_is(phantoms, tmp_path):
    paths = read_folder(phantoms).paths
    told = []
    prepare(paths, tmp_path / "p", SMALL, workers=1, on_progress=lambda *t: told.append(t))
    pack = Pack(tmp_path / "p", SMALL)
    assert set(pack.names) == set(paths)
    assert (pack.state == DONE).all()
    assert pack.pixels.shape == (len(paths), 64, 64)
    assert told[0] == (0, len(paths))
    assert told[-1] == (len(paths), len(paths))


def test_another_crop_or_size_is_refused_by_both_values(phantoms, tmp_path):
    prepare(read_folder(phantoms).paths, tmp_path / "p", SMALL, workers=1)
    for other, named in (
        ({"size": 128}, "size: found 64, expected 128"),
        ({"crop": 100}, "crop: found 90, expected 100"),
        ({"keep_aspect": True}, "square: found False, expected True"),
        ({"resample": "bicubic"}, "resample: found bilinear, expected bicubic"),
        ({"crop": 87.5}, "crop: found 90, expected 87.5"),
    ):
        with pytest.raises(DataError, match=named):
            Pack(tmp_path / "p", Preprocessing(**{"size": 64} | other))


def test_packs_of_other_places_crops_and_sizes_do_not_meet(tmp_path):
    places = {
        pack_folder(tmp_path, root, preprocessing)
        for root in (tmp_path / "a" / "nih", tmp_path / "b" / "nih")
        for preprocessing in (SMALL, Preprocessing(), Preprocessing(crop=100))
    }
    assert len(places) == 6


def test_a_second_call_decodes_nothing_and_a_grown_folder_only_what_is_new(
    phantoms, tmp_path, monkeypatch
):
    paths = read_folder(phantoms).paths
    some = dict(list(paths.items())[:10])
    prepare(some, tmp_path / "p", SMALL, workers=1)
    asked = []
    inner = packing.process_map

    def watched(function, jobs, *arguments, **options):
        asked.extend(path.name for job in jobs for _, path, _ in job)
        return inner(function, jobs, *arguments, **options)

    monkeypatch.setattr(packing, "process_map", watched)
    prepare(some, tmp_path / "p", SMALL, workers=1)
    assert not asked
    prepare(paths, tmp_path / "p", SMALL, workers=1)
    assert set(asked) == set(paths) - set(some)
    prepare(paths, tmp_path / "fresh", SMALL, workers=1)
    grown, fresh = Pack(tmp_path / "p", SMALL), Pack(tmp_path / "fresh", SMALL)
    for name in paths:
        assert np.array_equal(grown.pixels[grown.names[name]], fresh.pixels[fresh.names[name]])


def _prepare(root, folder) -> None:
    packing.CHUNK, packing.COMMIT_EVERY = 1, 1
    prepare(read_folder(root).paths, folder, SMALL, workers=2)


def test_a_pack_killed_half_way_is_finished_with_the_same_bytes(phantoms, tmp_path):
    chance = random.Random(2)
    folder, done = tmp_path / "p", []
    for _ in range(2):
        process = start(_prepare, phantoms, folder)
        deadline = time.monotonic() + 60
        while process.is_alive() and time.monotonic() < deadline:
            state = folder / "state.u8"
            if state.exists() and sum(state.read_bytes()) > sum(done[-1:]) + 2:
                break
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        process.join()
        done.append(sum((folder / "state.u8").read_bytes()))
        time.sleep(0.5)  # its workers notice and end
    _prepare(phantoms, folder)
    prepare(read_folder(phantoms).paths, tmp_path / "fresh", SMALL, workers=1)
    assert done[0] > 0
    assert whole(folder) == whole(tmp_path / "fresh")


@pytest.fixture
def with_bad_files(make_folder):
    root = make_folder(rows_of(6, 2))
    folder = read_folder(root)
    names = sorted(folder.paths)
    for name in names[:2]:
        folder.paths[name].write_bytes(folder.paths[name].read_bytes()[:300])
    return root, names[:2]


def test_unreadable_files_are_all_named_before_it_stops(with_bad_files, tmp_path):
    root, bad = with_bad_files
    with pytest.raises(DataError, match="2 of 12 images cannot be read") as caught:
        prepare(read_folder(root).paths, tmp_path / "p", SMALL, workers=1)
    assert all(name in str(caught.value) for name in bad)
    assert "--skip-unreadable" in str(caught.value)
    with pytest.raises(DataError, match="--skip-unreadable"):
        _open(root, tmp_path)


def _open(root, tmp_path):
    place = pack_folder(tmp_path / "packs", root, SMALL)
    if not place.exists():
        place.parent.mkdir(parents=True)
        (tmp_path / "p").rename(place)
    return open_datamodule(DataRequest(root, packs=tmp_path / "packs"), SMALL)


def test_skipped_files_are_counted_in_every_report(with_bad_files, tmp_path):
    root, bad = with_bad_files
    left_out = prepare(
        read_folder(root).paths, tmp_path / "p", SMALL, workers=1, skip_unreadable=True
    )
    assert sorted(left_out) == bad
    datamodule = _open(root, tmp_path)
    facts = datamodule.facts
    assert facts.images_unreadable == 2
    assert sum(facts.images.values()) == 10


def test_a_mended_file_is_taken_in_by_the_next_call(with_bad_files, tmp_path):
    root, bad = with_bad_files
    paths = read_folder(root).paths
    prepare(paths, tmp_path / "p", SMALL, workers=1, skip_unreadable=True)
    for name in bad:
        Image.fromarray(np.arange(80 * 80, dtype=np.uint8).reshape(80, 80)).save(paths[name])
    assert prepare(paths, tmp_path / "p", SMALL, workers=1) == {}
    assert not Pack(tmp_path / "p", SMALL).unreadable(paths)


def test_files_that_changed_after_packing_are_noticed(make_folder, tmp_path):
    root = make_folder(rows_of(3, 2))
    paths = read_folder(root).paths
    prepare(paths, pack_folder(tmp_path / "packs", root, SMALL), SMALL, workers=1)
    Image.new("L", (90, 90), 3).save(paths["00000001_000.png"])
    with pytest.raises(DataError, match="have changed"):
        open_datamodule(DataRequest(root, packs=tmp_path / "packs"), SMALL)


def test_a_pack_of_part_of_the_images_is_not_used_and_that_is_said(make_folder, tmp_path):
    root = make_folder(rows_of(10, 2))
    paths = read_folder(root).paths
    some = dict(list(paths.items())[:3])
    prepare(some, pack_folder(tmp_path / "packs", root, SMALL), SMALL, workers=1)
    datamodule = open_datamodule(DataRequest(root, packs=tmp_path / "packs"), SMALL)
    assert datamodule.pack is None
    assert "lacks 17 of 20 images" in datamodule.notes[0]


@pytest.mark.parametrize("name", ["pack.json", "pixels.u8", "state.u8"])
def test_a_damaged_pack_is_refused_with_the_way_out(phantoms, tmp_path, name):
    prepare(read_folder(phantoms).paths, tmp_path / "p", SMALL, workers=1)
    file = tmp_path / "p" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match=r"damaged.*prepare again"):
        Pack(tmp_path / "p", SMALL)


def test_a_pack_that_is_read_is_not_grown_on_windows_and_that_is_said(
    make_folder, tmp_path, monkeypatch
):
    """Windows changes no file that somebody has mapped; what is long enough is left alone."""
    folder = read_folder(make_folder(rows_of(2, 2)))
    some = dict(list(folder.paths.items())[:2])
    prepare(some, tmp_path / "p", Preprocessing(size=64), workers=1)
    assert packing._worker == {}  # nor is it mapped by whoever made it
    mapped = OSError(22, "user-mapped section open")
    mapped.winerror = 1224

    class Mapped(io.BytesIO):
        fileno = staticmethod(lambda: 0)

        def truncate(self, size=None):
            raise mapped

    opened = Path.open
    monkeypatch.setattr(packing.os, "posix_fallocate", lambda *_: None, raising=False)
    monkeypatch.setattr(
        Path, "open", lambda *given, **named: Mapped() if "ab" in given else opened(*given, **named)
    )
    packing._map(tmp_path / "p", 2, Preprocessing(size=64), "r+")
    with pytest.raises(DataError, match=r"a program that reads it.*Wait for it to end"):
        prepare(folder.paths, tmp_path / "p", Preprocessing(size=64), workers=1)


def test_a_full_disk_is_noticed_before_a_map_grows_where_room_cannot_be_taken(
    make_folder, tmp_path, monkeypatch
):
    """macOS has no posix_fallocate; a full disk under a memory map kills the process."""
    monkeypatch.delattr(packing.os, "posix_fallocate", raising=False)
    folder = read_folder(make_folder(rows_of(2, 2)))
    usage = packing.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda _: usage._replace(free=4000))
    with pytest.raises(DataError, match="No space left"):
        prepare(folder.paths, tmp_path / "p", Preprocessing(size=64), workers=1)
    monkeypatch.undo()
    monkeypatch.delattr(packing.os, "posix_fallocate", raising=False)
    assert prepare(folder.paths, tmp_path / "p", Preprocessing(size=64), workers=1) == {}
