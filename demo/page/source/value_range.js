/* Which stored values are black and white, in a picture of more than 8 bits without a window:
   chexnet/imaging/value_range.py in the browser, which says why. */

import { ONE_VALUE, Refusal } from "./container.js";

/** How often each value of 8 or 16 bits occurs. */
export function histogram(pixels) {
  const counts = new Float64Array(2 ** (8 * pixels.BYTES_PER_ELEMENT));
  for (const value of pixels) counts[value]++;
  return counts;
}

/**
 * The least and the greatest value that is no outlier: {low, high}.
 *
 * @param {import("../base/resize.js").Picture} picture of 16 bits.
 * @param {Float64Array} counts of each value, of those pixels that belong to the picture.
 * @param {any} limits that module's constants.
 */
export function valueRange(picture, counts, limits) {
  let values = [...counts.keys()].filter((value) => counts[value]);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const [low, high] = withoutFar(values, counts, total, limits);
  values = values.filter((value) => value >= low && value <= high);
  const ends = [-1, 1].map((sign) => {
    const inwards = sign > 0 ? values.toReversed() : values;
    let near = 0;
    for (let sum = counts[inwards[0]]; near < inwards.length && sum <= limits.looked_at * total; sum += counts[inwards[near]]) near++;
    const lone = near ? loneOf(picture, inwards.slice(0, near), sign, limits.alone) : 0;
    return inwards[Math.abs(inwards[lone] - inwards[0]) >= limits.least * (high - low) ? lone : 0];
  });
  if (ends[0] === ends[1]) throw new Refusal(ONE_VALUE);
  return { low: ends[0], high: ends[1] };
}

/** Cut few pixels off that lie beyond an empty stretch, at both ends, until there are none. */
function withoutFar(values, counts, total, { few, far }) {
  let below = 0, first = 0, last = values.length - 1;
  const upTo = values.map((value) => { below += counts[value]; return below; });
  for (;;) {
    const wide = far * (values[last] - values[first]), gaps = [];
    for (let i = first; i < last; i++) if (values[i + 1] - values[i] >= wide) gaps.push(i);
    const above = gaps.find((gap) => total - upTo[gap] <= few * total && gap > first);
    const under = gaps.findLast((gap) => upTo[gap] <= few * total && gap < last - 1);
    if (above !== undefined) last = above;
    else if (under !== undefined) first = under + 1;
    else return [values[first], values[last]];
  }
}

/** How many of the darkest (sign -1) or brightest values only lone pixels have, from the end. */
function loneOf({ pixels, width, height }, values, sign, alone) {
  const [least, most] = [Math.min(values[0], values.at(-1)), Math.max(values[0], values.at(-1))];
  const inside = (place, size) => size - 1 - Math.abs(size - 1 - Math.abs(place)); // mirrored beyond the edge
  const held = new Set();
  for (let i = 0; i < pixels.length; i++) {
    if (pixels[i] < least || pixels[i] > most) continue;
    const [x, y] = [i % width, Math.floor(i / width)], near = [];
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        if (dy || dx) near.push(sign * pixels[inside(y + dy, height) * width + inside(x + dx, width)]);
      }
    }
    near.sort((a, b) => a - b);
    // One of the eight may be an outlier itself.
    if (sign * pixels[i] - near[6] <= alone * (near[6] - near[0])) held.add(pixels[i]);
  }
  const first = values.findIndex((value) => held.has(value));
  return first < 0 ? values.length : first;
}
