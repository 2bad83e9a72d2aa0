/* The figures of a reading, computed from what was read. Nothing here touches the page.

   A case is right when exactly the findings that are there were named, no more and no fewer. */

/** @typedef {import("../source/answer.js").Turn} Turn */

const sum = (values) => values.reduce((total, value) => total + value, 0);
const count = (some, holds) => some.filter(holds).length;

/**
 * Area that both sets of boxes cover over the area that either covers, 0 to 1. Exact: the picture
 * is cut along every edge of a box, and each piece lies wholly in or out.
 */
export function unionIou(first, second) {
  const all = [...first, ...second];
  const edges = (k) => [...new Set(all.flatMap((box) => [box[k], box[k + 2]]))].sort((a, b) => a - b);
  const [xs, ys] = [edges(0), edges(1)];
  const covers = (boxes, x, y) => boxes.some(([left, top, right, bottom]) =>
    left <= x && x < right && top <= y && y < bottom);
  let both = 0, either = 0;
  for (let i = 0; i + 1 < xs.length; i++) {
    for (let j = 0; j + 1 < ys.length; j++) {
      const area = (xs[i + 1] - xs[i]) * (ys[j + 1] - ys[j]);
      const [a, b] = [covers(first, xs[i], ys[j]), covers(second, xs[i], ys[j])];
      if (a || b) either += area;
      if (a && b) both += area;
    }
  }
  return either > 0 ? both / either : 0;
}

/** Names of the findings that are there. */
export const there = ({ truth }) => truth.findings.map(({ name }) => name);

/** Who had a case right: the reader at first and at last, and the network; null where there is no answer. */
export function outcome(turn) {
  const is = there(turn);
  const right = (names) => names.length === is.length && names.every((name) => is.includes(name));
  const names = turn.network?.named; // a study may never show it
  return {
    first: right(turn.mine.findings),
    last: turn.final ? right(turn.final.findings) : null,
    network: names ? right(names) : null,
    falseAlarms: names?.filter((name) => !is.includes(name)) ?? [],
  };
}

/**
 * Some cases as somebody answered them: `named(turn)` and `boxes(turn)`. Overlaps are of findings
 * for which `drawn(turn)` has a box: the reader's and the network's are then of the same ones.
 */
function tally(turns, named, boxes, drawn = boxes) {
  const counts = { cases: turns.length, right: 0, there: 0, found: 0, wrong: 0 };
  const overlaps = [];
  for (const turn of turns) {
    const is = there(turn), names = named(turn);
    const hits = count(names, (name) => is.includes(name));
    counts.there += is.length;
    counts.found += hits;
    counts.wrong += names.length - hits;
    counts.right += Number(hits === names.length && hits === is.length);
    for (const { name, boxes: true_ } of turn.truth.findings) {
      if (true_.length && drawn(turn)[name]?.length) overlaps.push(unionIou(boxes(turn)[name] ?? [], true_));
    }
  }
  return { ...counts, boxed: overlaps.length, overlap: overlaps.length ? sum(overlaps) / overlaps.length : null };
}

/** Chance of changes as uneven as these or more, were each direction as likely (sign test, two-sided). */
export function signTest(gained, lost) {
  const n = gained + lost;
  let term = 0.5 ** n, tail = 0;
  for (let k = 0; k <= Math.min(gained, lost); k++) {
    tail += term;
    term *= (n - k) / (k + 1);
  }
  return Math.min(1, 2 * tail);
}

/** Before beside after, pair by pair; null without such rounds. `enough`: a test could tell. */
function change(before, after) {
  if (!before.length) return null;
  const right = (turn) => outcome(turn).first;
  const pairs = before.map((turn) => [right(turn), right(after.find(({ pair }) => pair === turn.pair))]);
  const gained = count(pairs, ([b, a]) => a && !b), lost = count(pairs, ([b, a]) => b && !a);
  const least = signTest(pairs.length, 0);
  return { pairs: pairs.length, gained, lost, chance: signTest(gained, lost), least, enough: least < 0.05 };
}

/**
 * Figures of a reader who is done.
 *
 * @param {Turn[]} turns
 */
export function figuresOf(turns) {
  const [before, withNetwork, after] = ["before", "with", "after"].map((round) =>
    turns.filter((turn) => turn.round === round));
  const first = (some) => tally(some, ({ mine }) => mine.findings, ({ mine }) => mine.boxes);
  const network = (some) => tally(some, ({ network: { named } }) => named,
    (turn) => turn.network.boxes, ({ mine, final }) => (final ?? mine).boxes);
  const outcomes = withNetwork.map(outcome);
  const steps = (step) => {
    const mine = turns.filter((turn) => turn.mine.sure === step);
    const theirs = turns.filter((turn) => turn.network.sure === step);
    return {
      mine: { cases: mine.length, right: count(mine, (turn) => outcome(turn).first) },
      network: { cases: theirs.length, right: count(theirs, (turn) => outcome(turn).network) },
    };
  };
  return {
    scores: turns.some((turn) => turn.network.sure === null), // nobody calibrated it
    you: {
      before: first(before), first: first(withNetwork), after: first(after),
      last: tally(withNetwork, ({ final }) => final.findings, ({ final }) => final.boxes),
    },
    network: { before: network(before), with: network(withNetwork), after: network(after) },
    change: change(before, after),
    toRight: count(outcomes, (outcome) => !outcome.first && outcome.last),
    toWrong: count(outcomes, (outcome) => outcome.first && !outcome.last),
    // A right answer was left for a machine that was wrong; a wrong one was kept beside a right machine.
    followed: count(outcomes, (outcome) => outcome.first && !outcome.last && !outcome.network),
    left: count(outcomes, (outcome) => !outcome.first && !outcome.last && outcome.network),
    sure: [0, 1, 2].map(steps),
    mistakes: {
      falseAlarms: count(outcomes, (outcome) => outcome.falseAlarms.length > 0),
      misses: count(withNetwork, (turn) => turn.truth.misses.length && !outcome(turn).falseAlarms.length),
    },
  };
}
