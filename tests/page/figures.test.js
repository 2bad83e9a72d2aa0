import assert from "node:assert/strict";
import test from "node:test";

import { figuresOf, outcome, signTest, unionIou } from "../../demo/page/reading/figures.js";

const LEFT = [0, 0, 0.5, 1], RIGHT = [0.5, 0, 1, 1], WHOLE = [0, 0, 1, 1];
const reply = (findings, sure = 1, boxes = {}) => ({ findings, nothing: !findings.length, sure, boxes });
const turn = (round, is, mine, network, more = {}) => ({
  round, pair: null, mine, network: { sure: 1, boxes: {}, ...network },
  truth: { findings: is.map((name) => ({ name, strength: "", boxes: [] })), misses: [], note: "", source: "" }, ...more,
});

test("overlap by hand", () => {
  assert.equal(unionIou([LEFT, RIGHT], [WHOLE]), 1);
  assert.equal(unionIou([LEFT, LEFT], [LEFT]), 1);
  assert.equal(unionIou([LEFT], [RIGHT]), 0);
  assert.ok(Math.abs(unionIou([[0, 0, 0.4, 0.4]], [[0.2, 0.2, 0.6, 0.6]]) - 1 / 7) < 1e-12);
  assert.equal(unionIou([], [LEFT]), 0);
  assert.equal(unionIou([LEFT], []), 0);
});

test("the figures of a small reading are those of a hand", () => {
  const there = [{ name: "Mass", strength: "clear", boxes: [LEFT] }];
  const truth = (findings, misses = []) => ({ truth: { findings, misses, note: "", source: "" } });
  const turns = [
    // Right before; the pair's other case is wrong after.
    turn("before", ["Hernia"], reply(["Hernia"], 1), { named: [] }, { pair: 0 }),
    // The reader is right, then follows a network that is wrong.
    turn("with", [], reply(["Mass"], 2), { named: ["Nodule"], sure: 2 }, { final: reply(["Nodule"], 2), ...truth(there) }),
    // Wrong, then right with the network.
    turn("with", [], reply([], 0), { named: ["Mass"], boxes: { Mass: [WHOLE] } },
      { final: reply(["Mass"], 1, { Mass: [LEFT, RIGHT] }), ...truth(there) }),
    // Nothing is there; right twice, and the network too.
    turn("with", [], reply([], 2), { named: [], sure: 0 }, { final: reply([], 2) }),
    // Right, then wrong although the network is right.
    turn("with", ["Edema", "Hernia"], reply(["Edema", "Hernia"], 2), { named: ["Edema", "Hernia"] },
      { final: reply(["Edema"], 0) }),
    // Wrong, and stays so beside a network that is right.
    turn("with", ["Fibrosis"], reply([], 0), { named: ["Fibrosis"] }, { final: reply([], 0) }),
    // A miss of the network; both are wrong.
    turn("with", [], reply([], 0), { named: [], sure: 0 },
      { final: reply([], 0), ...truth([{ name: "Nodule", strength: "clear", boxes: [] }], ["Nodule"]) }),
    turn("after", ["Hernia"], reply([], 2), { named: ["Hernia"], sure: 0 }, { pair: 0 }),
  ];
  const figures = figuresOf(turns);
  const plain = (cases, right, is, hits, wrong) =>
    ({ cases, right, there: is, found: hits, wrong, boxed: 0, overlap: null });
  assert.deepEqual(figures.you, {
    before: plain(1, 1, 1, 1, 0), first: plain(6, 3, 6, 3, 0), after: plain(1, 0, 1, 0, 0),
    // One boxed finding was drawn for: the whole picture against its left half, both times.
    last: { ...plain(6, 2, 6, 2, 1), boxed: 1, overlap: 0.5 },
  });
  assert.deepEqual(figures.network, {
    before: plain(1, 0, 1, 0, 0), with: { ...plain(6, 4, 6, 4, 1), boxed: 1, overlap: 0.5 }, after: plain(1, 1, 1, 1, 0),
  });
  const { toRight, toWrong, followed, left } = figures;
  assert.deepEqual({ toRight, toWrong, followed, left }, { toRight: 1, toWrong: 2, followed: 1, left: 1 });
  assert.deepEqual(figures.sure.map((step) => step.mine), [
    { cases: 3, right: 0 }, { cases: 1, right: 1 }, { cases: 4, right: 3 }]);
  assert.deepEqual(figures.sure.map((step) => step.network), [
    { cases: 3, right: 2 }, { cases: 4, right: 3 }, { cases: 1, right: 0 }]);
  assert.deepEqual(figures.mistakes, { falseAlarms: 1, misses: 1 });
  assert.deepEqual(figures.change, { pairs: 1, gained: 0, lost: 1, chance: 1, least: 1, enough: false });
  assert.equal(figures.scores, false);
  assert.equal(figuresOf([turn("with", [], reply([]), { named: [], sure: null }, { final: reply([]) })]).scores, true);
  assert.deepEqual(outcome(turns[1]), { first: true, last: false, network: false, falseAlarms: ["Nodule"] });
  assert.equal(outcome(turns[0]).last, null);
});

test("four pairs can say nothing and six can", () => {
  assert.equal(signTest(4, 0), 1 / 8);
  assert.equal(signTest(0, 6), 1 / 32);
  assert.equal(signTest(3, 3), 1);
  assert.equal(signTest(6, 1), 1 / 8);
  const pairs = (n) => ["before", "after"].flatMap((round) => Array.from({ length: n }, (_, pair) =>
    turn(round, [], reply(round === "after" ? [] : ["Mass"]), { named: [] }, { pair })));
  assert.deepEqual(figuresOf(pairs(4)).change, { pairs: 4, gained: 4, lost: 0, chance: 1 / 8, least: 1 / 8, enough: false });
  assert.equal(figuresOf(pairs(6)).change.enough, true);
  assert.equal(figuresOf(pairs(4).slice(0, 0)).change, null);
});
