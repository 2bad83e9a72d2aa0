"""Cases from phantoms: a committed first session, and a pool that is drawn while nobody waits."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from chexnet.errors import ConfigError
from chexnet.imaging.containers import PictureInfo
from chexnet.imaging.radiograph import Radiograph
from chexnet.inference.prediction import Prediction
from chexnet.inference.predictor import Predictor
from demo.classroom.cases import Case, Session, Truth, Words, make_case
from demo.classroom.draw import Drawer, Drawn, Recipe, draw
from demo.examples import SEED

POOL = 300
"""Phantoms that further sessions, and another network's mistakes, are looked for in."""
FIRST_PATIENT = 2000  # of the pool; the committed session's come before it
FALSE_ALARMS, MISSES = 1, 2
"""Mistakes of the network among the cases that are read with it, at least."""
QUIET = 2.0
"""Seconds that nobody has asked the network for anything before the pool goes on."""
CLEAR, FAINT = 0.7, 0.4
"""Severity of the plainest finding from which a picture is clear, and under which it is faint."""
BANDS = ("nothing", "clear", "moderate", "faint")
"""Of the plainest finding of a picture; a session has a pair of each."""
PLAN = ("nothing", *BANDS)
"""The rest of what is read with the network."""
WITH = FALSE_ALARMS + MISSES + len(PLAN)
FIRST = tuple(
    Recipe(SEED, patient, 0)
    for patient in (
        *(1099, 1054, 1057, 1182, 1143, 1022, 1068, 1164),
        *(1283, 1188, 1117, 1003, 1211, 1149, 1079, 1227),
    )
)
"""The first session, found for the starter weights by python -m demo.classroom.pool: the cases of
the pairs first, then those that are read with the network."""


def strength(severity: float | None) -> str:
    """A severity in a word; empty where nobody measured one."""
    if severity is None:
        return ""
    return "clear" if severity >= CLEAR else "faint" if severity < FAINT else "moderate"


def difficulty(case: Case) -> str:
    """One of `BANDS`, by the plainest finding."""
    findings = case.truth.findings.values()
    return strength(max(s or 0.0 for s in findings)) if findings else "nothing"


def match(case: Case) -> tuple[str, ...]:
    """What the two cases of a pair have in common: difficulty and findings."""
    return difficulty(case), *sorted(case.truth.findings)


def mistakes(cases: Collection[Case]) -> tuple[int, int]:
    """How many cases hold a false alarm, and how many others a miss."""
    alarms = sum(bool(case.false_alarms) for case in cases)
    return alarms, sum(bool(case.misses) and not case.false_alarms for case in cases)


def choose(cases: Sequence[Case], chance: random.Random) -> Session | None:
    """The network's mistakes first, which are rare; then pairs and others of all difficulties.

    Pictures with few findings are preferred: with five, hardly anybody names all and no more.
    Findings that were not taken yet are preferred, too.

    Returns:
        None where there are too few cases, or too few that match. With fewer mistakes, or no pair
        of a difficulty, others take their place.
    """
    left = list(cases)
    chance.shuffle(left)

    def take(into: list[Case], fits: Callable[[Case], bool]) -> bool:
        covered = {name for case in into for name in case.truth.findings}
        best = min(
            filter(fits, left),
            key=lambda c: (len(c.truth.findings) > 2, len(covered & set(c.truth.findings))),
            default=None,
        )
        if best:
            into.append(best)
            left.remove(best)
        return bool(best)

    chosen: list[Case] = []
    for _ in range(FALSE_ALARMS):
        take(chosen, lambda case: bool(case.false_alarms))
    for _ in range(MISSES):
        take(chosen, lambda case: bool(case.misses) and not case.false_alarms)
    alone: list[Case] = []
    for band in BANDS:
        kinds = Counter(map(match, left))
        twice = [case for case in left if kinds[match(case)] > 1]
        fitting = [case for case in twice if difficulty(case) == band]
        if not take(
            alone, (fitting or [case for case in twice if case.truth.findings]).__contains__
        ):
            return None
        take(alone, lambda case: match(case) == match(alone[-1]))
    for band in PLAN:
        fitting = [case for case in left if difficulty(case) == band and not case.false_alarms]
        take(chosen, fitting.__contains__)
    while len(chosen) < WITH and take(chosen, lambda case: True):
        pass
    if len(chosen) < WITH:
        return None
    return _session([*alone, *chosen], len(cases))


def _session(cases: Sequence[Case], looked_through: int) -> Session:
    """The cases of the pairs stand first."""
    alone = cases[: 2 * len(BANDS)]
    pairs = tuple(zip(alone[::2], alone[1::2], strict=True))
    others = tuple(cases[len(alone) :])
    alarms, misses = mistakes(others)
    scarce = alarms < FALSE_ALARMS or misses < MISSES
    return Session(others, pairs, looked_through=looked_through if scarce else 0)


def case_of(drawn: Drawn, prediction: Prediction, predictor: Predictor) -> Case:
    """A phantom with its truth and the network's answer."""
    recipe = drawn.recipe
    key = f"phantom-{recipe.seed}-{recipe.patient}-{recipe.visit}"
    return make_case(key, drawn.pixels, Truth(drawn.findings, drawn.boxes), prediction, predictor)


def radiograph_of(pixels: np.ndarray) -> Radiograph:
    """Pixels uint8 (H, W) as the network's reader takes them."""
    return Radiograph(pixels, 0, 255, PictureInfo("PNG", "L", 8))


class PhantomCases:
    """The drawn cases of one running demo.

    The first session is drawn at once. The pool follows when a reader has begun, or when the loaded
    network is right where the committed session needs it to be wrong: then the first session is put
    together from the pool's mistakes as soon as it is complete.
    """

    def __init__(
        self,
        predictor: Predictor,
        ask: Callable[[Radiograph], Prediction],
        quiet: Callable[[float], bool],
        size: int = POOL,
        alone: bool = True,
    ) -> None:
        """Answers come from `ask`; the pool goes on when `quiet` says that nobody waits.

        With `alone` some cases are read without the network, before and after the others; else one
        of each pair is read with it, too.
        """
        count = WITH + len(BANDS) * (1 + alone)
        self.words = Words(
            title=f"Read {count} chest pictures yourself",
            about="The pictures are drawn by a program, not taken of people. So the truth is "
            "exact: what was drawn, and where.",
            more=True,
            alone=len(BANDS) if alone else 0,
        )
        self._predictor, self._ask, self._quiet = predictor, ask, quiet
        self._recipes = [Recipe(SEED, FIRST_PATIENT + k, 0) for k in range(size)]
        self._committed: list[Case] = []
        self._pool: list[Case] = []
        self._first: Session | None = None
        self._broken = False
        self._wanted, self._ended = threading.Event(), threading.Event()
        self._chance = random.SystemRandom()
        self._thread = threading.Thread(target=self._work, name="cases", daemon=True)
        self._drawer: Drawer | None = None

    def start(self) -> None:
        """Begin to draw; returns at once."""
        self._drawer = Drawer()
        self._thread.start()

    def progress(self) -> tuple[int, int]:
        """Cases of the first session that are ready, and how many there will be."""
        return len(self._committed), len(FIRST)

    def first(self) -> Session | None:
        """The session that all readers share; None while it is being drawn.

        Raises:
            ConfigError: the process that draws was killed.
        """
        if self._broken and not self._first:
            raise ConfigError("The cases could not be drawn. The demo has to be started again.")
        if self._first:
            self._wanted.set()
        return self._in_rounds(self._first)

    def another(self, seen: frozenset[str]) -> Session | None:
        """Cases of the pool without those of the keys `seen`; None where there are too few yet."""
        pool = [case for case in list(self._pool) if case.key not in seen]
        return self._in_rounds(choose(pool, self._chance))

    def _in_rounds(self, session: Session | None) -> Session | None:
        if session is None or self.words.alone:
            return session
        cases = (*session.cases, *(first for first, _ in session.pairs))
        return replace(session, cases=cases, pairs=())

    def close(self) -> None:
        """End the drawing."""
        self._ended.set()
        self._wanted.set()
        if self._drawer:
            self._drawer.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        try:
            self._draw(FIRST, self._committed, patient=False)
            self._first = _session(self._committed, len(FIRST))
            if self._first.looked_through:
                self._wanted.set()
            self._wanted.wait()
            self._draw(self._recipes, self._pool, patient=True)
            if not self._ended.is_set() and self._first.looked_through:
                session = choose([*self._committed, *self._pool], self._chance)
                self._first = session or self._first
        except (EOFError, OSError):
            self._broken = True  # the demo ends, or the process was killed: what is there stays
        finally:
            if self._drawer:
                self._drawer.close()

    def _draw(self, recipes: Sequence[Recipe], into: list[Case], patient: bool) -> None:
        """Draw and score, one picture ahead; with `patient` only while nobody waits."""
        assert self._drawer is not None
        if recipes:
            self._drawer.ask(recipes[0])
        for k in range(len(recipes)):
            while patient and not self._quiet(QUIET) and not self._ended.wait(0.25):
                pass
            if self._ended.is_set():
                return
            if k + 1 < len(recipes):
                self._drawer.ask(recipes[k + 1])
            drawn = self._drawer.take()
            into.append(case_of(drawn, self._ask(radiograph_of(drawn.pixels)), self._predictor))


def find_first(patients: range, seed: int = SEED) -> list[Recipe]:
    """Look for a first session for the starter weights; half a minute for 300 patients."""
    from chexnet.inference.predictor import STARTER

    predictor = Predictor(STARTER, "cpu")
    cases, recipes = [], {}
    for patient in patients:
        drawn = draw(Recipe(seed, patient, 0))
        [answer] = predictor.predict([predictor.read(radiograph_of(drawn.pixels))])
        cases.append(case_of(drawn, answer, predictor))
        recipes[cases[-1].key] = drawn.recipe
    session = choose(cases, random.Random(0))
    return [recipes[case.key] for case in session.all] if session else []


if __name__ == "__main__":
    started = time.monotonic()
    for first_recipe in find_first(range(1000, 1300)):
        print(first_recipe)
    print(f"{time.monotonic() - started:.0f} s")
