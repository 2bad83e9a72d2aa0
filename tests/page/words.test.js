import assert from "node:assert/strict";
import test from "node:test";

import { expit, figureText, hundredths, logit, share, valueText } from "../../demo/page/base/words.js";

test("a share keeps 0 and 1 exact and says what is under a tenth of a percent", () => {
  const shown = [[0, "0 %"], [1, "100 %"], [0.0004, "< 0.1 %"], [0.9996, "> 99.9 %"], [0.004, "0.4 %"],
    [0.28, "28 %"], [NaN, "n/a"], [null, "n/a"]];
  for (const [value, words] of shown) assert.equal(share(value), words);
});

test("a network that nobody calibrated gives scores, never percent", () => {
  const scores = { calibrated: false };
  assert.equal(valueText(scores, 0.634), "0.63");
  assert.equal(valueText(scores, 0.00441), "0.0044");
  assert.equal(valueText(scores, 0.00001), "< 0.0001");
  assert.equal(figureText(scores, 0.5), "0.50");
  assert.equal(valueText({ calibrated: true }, 0.634), "63 %");
});

test("hundredths have a true minus, and log-odds come back", () => {
  assert.equal(hundredths(-105), "−1.05");
  for (const p of [0.001, 0.3, 0.999]) assert.ok(Math.abs(expit(logit(p)) - p) < 1e-12);
});
