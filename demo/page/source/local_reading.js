/* A reading without a server: the steps of answer.js, on cases that lie in files.

   Nothing of a case is given out before its stage, as the server does it; whoever opens the files
   finds the truth there. */

import { stored } from "../base/dom.js";
import { outcome } from "../reading/figures.js";

const OPEN = { commit: "read", settle: "revise", next: "truth" };
const NOT_NOW = "This step is not open now. The page shows where you are.";
const UNKNOWN = "Your reading is no longer kept. Please begin again.";

const storage = stored(() => sessionStorage, "cx-reading");

function mixed(some) {
  return some.map((item) => ({ item, key: Math.random() })).sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/**
 * A reader before the first case; see `new_reader` of demo/classroom/reading.py.
 *
 * @param {{cases: number[], pairs: [number, number][], ordered: boolean}} session numbers of cases
 */
export function planned({ cases, pairs, ordered }) {
  const reader = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const first = Math.random() < 0.5 ? 0 : 1, inOrder = ordered ? (some) => some : mixed;
  const alone = (n) => inOrder(pairs.map((both, pair) => ({ number: both[n], pair })));
  const rounds = [["before", alone(first)], ["with", inOrder(cases.map((number) => ({ number, pair: null })))],
    ["after", alone(1 - first)]];
  const turns = rounds.flatMap(([round, some]) => some.map((turn) => ({ round, ...turn })));
  return { reader, place: 0, stage: "read", turns };
}

/** The reader after a step; null where it is not open. */
export function moved(now, { action, case: id, answer }) {
  const { place, stage } = now, turns = [...now.turns];
  if (OPEN[action] !== stage || id !== String(place)) return null;
  if (action === "commit") turns[place] = { ...turns[place], mine: answer };
  if (action === "settle") turns[place] = { ...turns[place], final: answer };
  if (action === "settle") return { ...now, turns, stage: "truth" };
  if (action === "commit" && turns[place].round === "with") return { ...now, turns, stage: "revise" };
  return { ...now, turns, place: place + 1, stage: place + 1 < turns.length ? "read" : "done" };
}

/**
 * part: see `part` of server.js; report: is told the share of right answers in percent at the end.
 * Returns `step`, see answer.js.
 */
export function makeSteps(part, report) {
  let now = JSON.parse(storage.get());

  const layersOf = ({ number, ...turn }) => part(`case/${number}`).then((layers) => ({ ...turn, ...layers }));

  async function contentOf({ place, stage, turns }, again) {
    if (stage === "done") {
      const layers = await Promise.all(turns.map(layersOf));
      const listed = layers.map(({ preview: _, network: { named, sure, boxes }, ...turn }) =>
        ({ ...turn, network: { named, sure, boxes } }));
      return { stage, of: turns.length, looked_through: (await part("session")).looked_through, more: false, turns: listed };
    }
    const { preview, network, truth, round, mine, final } = await layersOf(turns[place]);
    return {
      stage, of: turns.length, round, case: String(place), number: place + 1,
      ...((stage === "read" || again) && { preview }),
      ...(stage !== "read" && { mine, network: { ...network }, heat: true }),
      ...(stage === "truth" && { final, truth }),
    };
  }

  return async (asked) => {
    const { action, reader } = asked;
    let next = now;
    if (action === "begin") next = planned(await part("session"));
    else if (!now || reader !== now.reader) return { problem: UNKNOWN };
    else if (action !== "resume") next = moved(now, asked);
    if (!next) return { problem: NOT_NOW };
    const content = await contentOf(next, action === "resume");
    now = next;
    storage.set(JSON.stringify(now));
    if (content.turns) report(Math.round(100 * content.turns.filter(isRight).length / content.of));
    return action === "begin" ? { reader: now.reader, ...content } : content;
  };
}

function isRight(turn) {
  const { first, last } = outcome(turn);
  return last ?? first;
}
