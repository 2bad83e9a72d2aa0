import assert from "node:assert/strict";
import test from "node:test";

import { enlarge, heatSteps, lookup, windowTable } from "../../demo/page/viewer/drawing.js";
import { clamped, fitted, zoomed } from "../../demo/page/viewer/stage.js";
import { atPrevalence, frequencies, measuresOf } from "../../demo/page/teaching/numbers.js";

test("the whole window leaves 8 bits as they are, and inversion turns them round", () => {
  assert.deepEqual([...windowTable(8, 0.5, 1, false)], Array.from({ length: 256 }, (_, i) => i));
  assert.deepEqual([...windowTable(8, 0.5, 1, true)], Array.from({ length: 256 }, (_, i) => 255 - i));
});

test("a map of one value stays that between its cells", () => {
  const heat = { values: Float32Array.from([3, 3, 3, 3, 3, 3]), h: 2, w: 3 };
  for (const value of enlarge(heat, 31, 17)) assert.ok(Math.abs(value - 3) < 1e-6);
});

test("outside of what the network saw there is no heat", () => {
  const heat = { values: Float32Array.from([9, 9, 9, 9]), h: 2, w: 2 };
  const steps = heatSteps(heat, [2, 1, 6, 5], 8, 8, 8, false);
  assert.equal(steps[0], 0);
  assert.equal(steps[8 * 3 + 4], 255);
  assert.equal(heatSteps(heat, [2, 1, 6, 5], 8, 8, 8, true)[0], 255);
});

test("no heat leaves every gray as it is", () => {
  const colours = Array.from({ length: 256 }, () => [255, 0, 0]);
  const table = lookup(colours, 0.5);
  for (const gray of [0, 1, 128, 255]) assert.equal(table[gray], (0xff000000 | (gray * 0x010101)) >>> 0);
});

test("zooming keeps the point under the pointer, and a picture covers its stage", () => {
  const stage = { width: 400, height: 300 }, fit = fitted(stage, { width: 512, height: 512 });
  assert.deepEqual(fit, { width: 300, height: 300 });
  const whole = clamped({ zoom: 1, x: 0, y: 0 }, stage, fit);
  assert.equal(whole.x, 50);
  const at = { x: 200, y: 150 }, near = zoomed(whole, 4, at, stage, fit);
  assert.equal((at.x - near.x) / near.zoom, (at.x - whole.x) / whole.zoom);
  assert.equal(zoomed(near, 0.001, at, stage, fit).zoom, 1);
});

test("a thousand people are a thousand, whatever is asked of them", () => {
  for (const counts of [{ tp: 9, fp: 1, fn: 2, tn: 88 }, { tp: 1, fp: 0, fn: 0, tn: 3 }]) {
    for (const share of [0.0012, 0.0335, 0.5, 0.999]) {
      const { tp, fp, fn, tn } = frequencies(measuresOf(counts), share);
      assert.equal(tp + fp + fn + tn, 1000);
    }
    const { ppv } = atPrevalence(measuresOf(counts), 0.5);
    assert.ok(ppv >= 0 && ppv <= 1);
  }
});
