// A reading of an exported page: the steps of the server, and nothing of a case before its stage.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeSteps, moved, planned } from "../../demo/page/source/local_reading.js";
import { reporting } from "../../demo/page/source/scorm.js";

const SESSION = { cases: [2, 3], pairs: [[0, 1]], ordered: false, looked_through: 0 };
const NETWORK = { named: ["Mass"], sure: 1, boxes: {}, contributions: "" };
const TRUTH = { findings: [{ name: "Mass", strength: "clear", boxes: [] }], misses: [], note: "", source: "" };
const MASS = { findings: ["Mass"], nothing: false, sure: 1, boxes: {} };
const NOTHING = { findings: [], nothing: true, sure: 0, boxes: {} };

const files = async (name) => (name === "session" ? SESSION
  : { preview: name, network: NETWORK, truth: TRUTH });

test("each pair is read once before and once after, either first as often", () => {
  let first = 0;
  for (let time = 0; time < 400; time++) {
    const { turns } = planned(SESSION);
    assert.deepEqual(turns.map(({ round }) => round), ["before", "with", "with", "after"]);
    assert.deepEqual(turns.map(({ number }) => number).sort(), [0, 1, 2, 3]);
    first += turns[0].number === 0;
  }
  assert.ok(first > 140 && first < 260, `${first} of 400`);
});

test("a lecturer's own order is kept", () => {
  const { turns } = planned({ ...SESSION, cases: [5, 4, 3], pairs: [], ordered: true });
  assert.deepEqual(turns.map(({ number }) => number), [5, 4, 3]);
});

test("no step can be skipped, repeated or taken back", () => {
  const start = planned(SESSION);
  for (const action of ["settle", "next", "another", "nonsense"]) {
    assert.equal(moved(start, { action, case: "0" }), null);
  }
  assert.equal(moved(start, { action: "commit", case: "1", answer: MASS }), null);
  const second = moved(start, { action: "commit", case: "0", answer: MASS });
  assert.equal(moved(second, { action: "commit", case: "0", answer: NOTHING }), null);
  assert.equal(start.turns[0].mine, undefined);
});

test("network and truth come at their stages, and the end is told the share of right answers", async () => {
  const scores = [], step = makeSteps(files, (score) => scores.push(score));
  let now = await step({ action: "begin" });
  const { reader } = now;
  const act = async (action, answer) => { now = await step({ action, reader, case: now.case, answer }); };
  assert.ok(now.preview && !now.network && !now.truth);
  await act("commit", MASS); // of the round before: neither network nor truth
  assert.ok(now.round === "with" && now.preview && !now.network && !now.truth && !now.mine);
  await act("commit", NOTHING);
  assert.ok(now.stage === "revise" && now.network && !now.truth && !now.preview);
  assert.ok((await step({ action: "resume", reader })).preview);
  assert.ok((await step({ action: "next", reader, case: now.case })).problem);
  await act("settle", MASS);
  assert.deepEqual([now.stage, now.truth, now.final], ["truth", TRUTH, MASS]);
  await act("next");
  await act("commit", NOTHING);
  await act("settle", NOTHING);
  await act("next");
  await act("commit", MASS);
  assert.equal(now.stage, "done");
  assert.deepEqual(now.turns.map(({ round, final }) => [round, final?.nothing]),
    [["before", undefined], ["with", false], ["with", true], ["after", undefined]]);
  assert.deepEqual(Object.keys(now.turns[0].network), ["named", "sure", "boxes"]);
  assert.deepEqual(scores, [75]);
  assert.ok((await step({ action: "resume", reader: "another" })).problem);
});

test("a learning platform is found in a frame above, and told score and completion", () => {
  const said = {};
  const API = {
    LMSInitialize: () => "true", LMSCommit: () => "true", LMSFinish: () => "true",
    LMSSetValue: (name, value) => { said[name.replace("cmi.core.", "")] = value; },
  };
  const above = { API };
  above.parent = above;
  globalThis.window = { parent: above, opener: null };
  globalThis.addEventListener = () => {};
  const report = reporting();
  assert.deepEqual(said, { lesson_status: "incomplete" });
  report(75);
  assert.deepEqual(said, { "score.min": "0", "score.max": "100", "score.raw": "75", lesson_status: "completed" });
});
