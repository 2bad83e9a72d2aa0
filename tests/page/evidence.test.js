import assert from "node:assert/strict";
import test from "node:test";

import { emptyMapSentence, evidence, isWarning, logitOf, orderOf } from "../../demo/page/viewer/evidence.js";

const answer = {
  findings: ["Mass", "Hernia"], no_finding: "No Finding", calibrated: true, classes: [],
  probability: { Mass: 0.2, Hernia: 0.7, "No Finding": 0.9 },
  threshold: { Mass: null, Hernia: 0.5, "No Finding": 0.1 },
  calibration: { Hernia: { slope: 2, bias: -1 } },
};

test("findings stand by their probability, and No Finding last and never as a warning", () => {
  assert.deepEqual(orderOf(answer), ["Hernia", "Mass", "No Finding"]);
  assert.deepEqual(orderOf(answer).map((name) => isWarning(answer, name)), [true, false, false]);
});

test("what is shown in hundredths adds up whatever the rounding", () => {
  let seed = 7;
  const random = () => { seed = (seed * 16807) % 2147483647; return seed / 2147483647 - 0.5; };
  for (const spread of [0.0002, 0.003, 0.1, 2]) {
    for (let time = 0; time < 200; time++) {
      const cells = Float32Array.from({ length: 64 }, () => spread * random());
      const bias = spread * random();
      const logit = bias + cells.reduce((sum, value) => sum + value, 0);
      const { shown } = evidence(cells, bias, logit);
      assert.equal(shown.bias + shown.for - shown.against - shown.logit, 0);
      assert.ok(shown.for >= 0 && shown.against >= 0);
    }
  }
});

test("a map without heat is told with its finding's own numbers", () => {
  const sum = evidence(Float32Array.from([-0.5, -0.25]), 0.1, -0.65);
  assert.ok(sum.none);
  assert.match(emptyMapSentence(answer, "Hernia", sum), /against it by 0\.75; what remains is 70 %, still above/);
  assert.equal(emptyMapSentence(answer, "Hernia", evidence(Float32Array.from([1]), 0, 1)), "");
});

test("a probability's place among the logits undoes its calibration", () => {
  assert.ok(Math.abs(logitOf(answer, "Hernia", 0.5) - 0.5) < 1e-12);
  assert.equal(logitOf(answer, "Hernia", 1), null);
});
