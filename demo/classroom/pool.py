"""Cases from phantoms: a committed first dozen, and a pool that is drawn while nobody waits."""

import random
import threading
import time
from collections.abc import Callable, Collection, Sequence

import numpy as np

from chexnet.errors import ConfigError
from chexnet.imaging.radiograph import Facts, Radiograph
from chexnet.inference.predictor import Prediction, Predictor
from demo.classroom.cases import Case, Dozen, Truth, Words, make_case
from demo.classroom.draw import Drawer, Drawn, Recipe, draw
from demo.examples import SEED

POOL = 300
"""Phantoms that further dozens, and another network's mistakes, are looked for in."""
FIRST_PATIENT = 2000  # of the pool; the committed dozen's come before it
FALSE_ALARMS, MISSES = 1, 2
"""Mistakes of the network in a dozen, at least."""
QUIET = 2.0
"""Seconds that nobody has asked the network for anything before the pool goes on."""
CLEAR, FAINT = 0.7, 0.4
"""Severity of the plainest finding from which a picture is clear, and under which it is faint."""
PLAN = ("nothing",) * 3 + ("clear",) * 2 + ("middle",) * 2 + ("faint",) * 2
"""The rest of a dozen."""
FIRST = tuple(
    Recipe(SEED, patient, 0)
    for patient in (1003, 1044, 1054, 1057, 1058, 1099, 1117, 1143, 1149, 1188, 1227, 1283)
)
"""The first dozen, found for the starter weights by python -m demo.classroom.pool."""


def difficulty(case: Case) -> str:
    """`nothing`, `clear`, `middle` or `faint`, by the plainest finding."""
    plainest = max((s or 0.0 for s in case.truth.findings.values()), default=None)
    if plainest is None:
        return "nothing"
    return "clear" if plainest >= CLEAR else "faint" if plainest < FAINT else "middle"


def mistakes(cases: Collection[Case]) -> tuple[int, int]:
    """How many cases hold a false alarm, and how many others a miss."""
    alarms = sum(bool(case.false_alarms) for case in cases)
    return alarms, sum(bool(case.misses) and not case.false_alarms for case in cases)


def choose(cases: Sequence[Case], chance: random.Random) -> tuple[Case, ...] | None:
    """Twelve cases: the network's mistakes first, then all difficulties and many findings.

    Pictures with few findings are preferred: with five, hardly anybody names all and no more.

    Returns:
        None where there are not twelve. With fewer mistakes than wanted, others take their place.
    """
    left = list(cases)
    chance.shuffle(left)
    left.sort(key=lambda case: len(case.truth.findings) > 2)
    chosen: list[Case] = []

    def take(fits: Callable[[Case], bool]) -> bool:
        covered = {name for case in chosen for name in case.truth.findings}
        fitting = [case for case in left if fits(case)]
        if not fitting:
            return False
        best = min(
            fitting,
            key=lambda c: (len(c.truth.findings) > 2, len(covered & set(c.truth.findings))),
        )
        chosen.append(best)
        left.remove(best)
        return True

    for _ in range(FALSE_ALARMS):
        take(lambda case: bool(case.false_alarms))
    for _ in range(MISSES):
        take(lambda case: bool(case.misses) and not case.false_alarms)
    for wanted in PLAN:
        take(lambda case, wanted=wanted: difficulty(case) == wanted and not case.false_alarms)  # type: ignore[misc]
    size = FALSE_ALARMS + MISSES + len(PLAN)
    while len(chosen) < size and take(lambda case: True):
        pass
    return tuple(chosen) if len(chosen) == size else None


def case_of(drawn: Drawn, prediction: Prediction, predictor: Predictor) -> Case:
    """A phantom with its truth and the network's answer."""
    recipe = drawn.recipe
    key = f"phantom-{recipe.seed}-{recipe.patient}-{recipe.visit}"
    return make_case(key, drawn.pixels, Truth(drawn.findings, drawn.boxes), prediction, predictor)


def radiograph_of(pixels: np.ndarray) -> Radiograph:
    """Pixels uint8 (H, W) as the network's reader takes them."""
    return Radiograph(pixels, 0, 255, Facts("PNG", "L", 8))


WORDS = Words(
    title="Read twelve chest pictures yourself",
    about="The pictures are drawn by a program, not taken of people. So the truth is exact: what "
    "was drawn, and where.",
    more=True,
)


class PhantomCases:
    """The drawn cases of one running demo.

    The first dozen is drawn at once. The pool follows when a reader has begun, or when the loaded
    network is right where the committed dozen needs it to be wrong: then the first dozen is put
    together from the pool's mistakes as soon as it is complete.
    """

    words = WORDS

    def __init__(
        self,
        predictor: Predictor,
        ask: Callable[[Radiograph], Prediction],
        quiet: Callable[[float], bool],
        size: int = POOL,
    ) -> None:
        """Answers come from `ask`; the pool goes on when `quiet` says that nobody waits."""
        self._predictor, self._ask, self._quiet = predictor, ask, quiet
        self._recipes = [Recipe(SEED, FIRST_PATIENT + k, 0) for k in range(size)]
        self._committed: list[Case] = []
        self._pool: list[Case] = []
        self._first: Dozen | None = None
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
        """Cases of the first dozen that are ready, and how many there will be."""
        return len(self._committed), len(FIRST)

    def first(self) -> Dozen | None:
        """The dozen that all readers share; None while it is being drawn.

        Raises:
            ConfigError: the process that draws was killed.
        """
        if self._broken and not self._first:
            raise ConfigError("The cases could not be drawn. The demo has to be started again.")
        if self._first:
            self._wanted.set()
        return self._first

    def another(self, seen: frozenset[str]) -> Dozen | None:
        """Cases of the pool without those of the keys `seen`; None where there are too few yet."""
        pool = [case for case in list(self._pool) if case.key not in seen]
        cases = choose(pool, self._chance)
        return Dozen(cases, looked_through=len(self._pool)) if cases else None

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
            self._first = Dozen(tuple(self._committed), looked_through=len(FIRST))
            if not self._as_planned():
                self._wanted.set()
            self._wanted.wait()
            self._draw(self._recipes, self._pool, patient=True)
            if not self._ended.is_set() and not self._as_planned():
                cases = choose([*self._committed, *self._pool], self._chance)
                looked = len(self._committed) + len(self._pool)
                if cases:
                    self._first = Dozen(cases, looked_through=looked)
        except (EOFError, OSError):
            self._broken = True  # the demo ends, or the process was killed: what is there stays
        finally:
            self._drawer.close()

    def _as_planned(self) -> bool:
        alarms, misses = mistakes(self._committed)
        return alarms >= FALSE_ALARMS and misses >= MISSES

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


def find_first(patients: range, seed: int = SEED) -> tuple[Recipe, ...]:
    """Look for a first dozen for the starter weights; half a minute for 300 patients."""
    from chexnet.inference.predictor import STARTER

    predictor = Predictor(STARTER, "cpu")
    cases, recipes = [], {}
    for patient in patients:
        drawn = draw(Recipe(seed, patient, 0))
        [answer] = predictor.predict([predictor.read(radiograph_of(drawn.pixels))])
        cases.append(case_of(drawn, answer, predictor))
        recipes[cases[-1].key] = drawn.recipe
    chosen = choose(cases, random.Random(0))
    return tuple(sorted(recipes[case.key] for case in chosen or ()))


if __name__ == "__main__":
    started = time.monotonic()
    for one in find_first(range(1000, 1300)):
        print(one)
    print(f"{time.monotonic() - started:.0f} s")
