"""A study's file: arms in balance, rows that outlive a kill, and readers who may leave."""

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from chexnet.errors import ChexnetError, ConfigError, DataError
from chexnet.evaluation.readers import COLUMNS, read_answers
from demo.classroom import study as module
from demo.classroom.reading import reply_of
from demo.classroom.study import Arm, Study
from tests.conftest import ROOT, needs_resource
from tests.demo.classroom.made import case, reply

TOML = """
name = "Second reader"
consent = "Your answers are kept under a pseudonym."
[[arms]]
name = "alone"
network = "none"
heat = false
[[arms]]
name = "second"
network = "second"
weight = 2
"""
CASE = case("a.png", {"Mass": 0.7}, named={"Effusion"})
MASS = reply_of(reply("Mass", sure=2, boxes={"Mass": [[0.1, 0.2, 0.3, 0.4]]}))


def name_of(number: int) -> str:
    return f"pseudonym_{number:020d}"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "study.toml").write_text(TOML)
    return tmp_path / "study.toml"


@pytest.fixture
def study(path):
    opened = Study(path)
    yield opened
    opened.close()


def again(study: Study) -> Study:
    """The same study after a restart."""
    study.close()
    return Study(study.path.with_suffix(".toml"))


def test_the_study_is_what_the_file_says(study):
    assert (study.name, study.consent[:12]) == ("Second reader", "Your answers")
    assert study.arms == (Arm("alone", "none", False, 1), Arm("second", "second", True, 2))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"none"', '"third"', "network = 'third', expected one of first, second, none"),
        ("weight = 2", "weight = 0", "a whole number from 1"),
        ("weight = 2", "weight = true", "a whole number from 1"),
        ("heat = false", "heat = 1", "true or false"),
        ('"alone"', '"second"', "another name"),
        ("heat =", "heart =", "an arm with name and network"),
        ("consent", "assent", "name, consent and"),
        ("[[arms]]", "[arms]", "TOML"),
        ('"Second reader"', '" "', "text of at most 60"),
    ],
)
def test_a_file_that_is_no_study_is_refused_and_makes_no_answers(path, old, new, message):
    path.write_text(TOML.replace(old, new))
    with pytest.raises(DataError, match=message):
        Study(path)
    assert not path.with_suffix(".csv").exists()


def test_every_block_of_readers_is_in_balance_and_a_restart_goes_on(study):
    for number in range(60):
        study.add(name_of(number), CASE, MASS, "with", "before", 1)
        if number % 3 == 2:
            assert Counter(arm.name for arm in study._arms.values()) == {
                "alone": (number + 1) // 3,
                "second": 2 * (number + 1) // 3,
            }
    arms = [study.arm_of(name_of(number)) for number in range(60)]
    assert len({tuple(arms[n : n + 3]) for n in range(0, 60, 3)}) > 1  # not by rote
    study = again(study)
    assert [study.arm_of(name_of(number)) for number in range(60)] == arms
    assert Counter(study.arm_of(name_of(n)).name for n in range(60, 90))["second"] == 20
    study.close()


def test_an_answer_is_a_row_that_the_statistics_read_and_the_first_one_stays(study):
    assert study.add(name_of(1), CASE, MASS, "with", "before", 12.34)
    assert study.add(name_of(1), CASE, reply_of(reply(sure=0)), "with", "after", 3)
    assert not study.add(name_of(1), CASE, reply_of(reply()), "with", "before", 1)
    first, second = read_answers(study.path).itertuples()
    assert first.answer == first.truth == {"Mass"}
    assert (first.network, second.answer, first.confidence) == ({"Effusion"}, frozenset(), 2)
    assert first.arm == study.arm_of(name_of(1)).name
    text = study.path.read_text()
    assert text.startswith(",".join(COLUMNS))
    assert '"{""Mass"": [[0.1, 0.2, 0.3, 0.4]]}",12.3\n' in text
    assert name_of(1) not in text


def test_a_reader_who_leaves_takes_every_row_along_also_of_a_write_that_was_killed(study):
    for number, key in ((1, "a.png"), (2, "a.png"), (1, 'b, "c".png')):
        study.add(name_of(number), case(key), MASS, "with", "before", 1)
    leftover = study.path.with_name(f".{study.path.name}.77.tmp")
    leftover.write_bytes(study.path.read_bytes())
    assert (study.forget(name_of(1)), study.forget(name_of(1))) == (2, 0)
    assert len(read_answers(study.path)) == 1
    assert study.forget(name_of(2)) == 1
    study = again(study)
    assert not leftover.exists()
    assert study.path.read_text() == ",".join(COLUMNS) + "\n"
    study.close()


@needs_resource
def test_a_kill_at_any_byte_leaves_all_rows_but_the_last(study):
    """The system kills the process that writes past its limit, which is tried at each byte."""
    study.add(name_of(1), CASE, reply_of(reply("Mass")), "with", "before", 1)
    before, whole = study.path.read_bytes(), study.path.stat().st_size + 100
    study.close()
    code = f"""
import os, resource, signal
from pathlib import Path
from types import SimpleNamespace as Made
from demo.classroom.study import Study
case = Made(key="a.png", truth=Made(findings=["Mass"]), network=Made(named=["Effusion"]))
reply = Made(findings=["Mass"], sure=2, boxes={{}})
study = Study(Path({str(study.path.with_suffix(".toml"))!r}))
study.arm_of({name_of(2)!r})  # drawn here, so that every child writes the same row
ends = []
for limit in range({whole}):
    if not (child := os.fork()):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        study.add({name_of(2)!r}, case, reply, "with", "before", 1)
        os._exit(0)
    killed = os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGXFSZ
    ends.append((killed, study.path.read_bytes()))
after = study.path.read_bytes()
print(ends[: len(after)] == len(after) * [(True, {before!r})], ends[-1] == (False, after))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = study.path.read_bytes()
    assert after.startswith(before)
    assert len(after) > len(before)
    assert done.stdout.split() == ["True", "True"]
    study = again(study)
    assert len(read_answers(study.path)) == 2
    assert {path.name for path in study.path.parent.iterdir() if path.suffix == ".tmp"} == set()
    study.close()


def test_a_full_disk_loses_no_row_and_the_answer_may_be_given_again(study, monkeypatch):
    study.add(name_of(1), CASE, MASS, "with", "before", 1)

    def full(path, text):
        raise ChexnetError("No room.")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_text", full)
        with pytest.raises(ChexnetError):
            study.add(name_of(2), CASE, MASS, "with", "before", 1)
        with pytest.raises(ChexnetError):
            study.forget(name_of(1))
    assert study.add(name_of(2), CASE, MASS, "with", "before", 1)
    assert len(read_answers(study.path)) == 2


def test_a_class_that_answers_at_once_is_written_whole(study):
    jobs = [(name_of(n), case(f"{c}.png")) for n in range(8) for c in range(5)]
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda job: study.add(*job, MASS, "with", "before", 1), jobs * 2))
    assert sum(added) == len(jobs) == len(read_answers(study.path))


def test_one_process_has_a_study(study, path):
    with pytest.raises(ConfigError, match="Another demo runs"):
        Study(path)


@pytest.mark.parametrize("given", [None, 7, "", "short", "a" * 65, "../" * 10, "ä" * 30])
def test_what_is_no_pseudonym_is_refused(study, given):
    for ask in (study.arm_of, study.forget):
        with pytest.raises(ConfigError, match="pseudonym"):
            ask(given)


def test_the_file_of_other_answers_is_left_alone(path):
    for text in ("a,b\n1,2\n", ",".join(COLUMNS) + "\n" + "x," * 10 + "\n"):
        path.with_suffix(".csv").write_text(text)
        with pytest.raises(DataError, match=r"study\.csv"):
            Study(path)
        assert path.with_suffix(".csv").read_text() == text


def test_there_is_an_end_to_readers_and_answers(study, monkeypatch):
    monkeypatch.setattr(module, "MOST_READERS", 2)
    monkeypatch.setattr(module, "MOST_ANSWERS", 1)
    study.add(name_of(1), CASE, MASS, "with", "before", 1)
    with pytest.raises(ConfigError, match="all the readers and answers"):
        study.add(name_of(2), CASE, MASS, "with", "before", 1)
    with pytest.raises(ConfigError, match="all the readers and answers"):
        study.arm_of(name_of(3))
