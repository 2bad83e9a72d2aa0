/* Pictures in another size, bit for bit as Pillow gives them.

   A picture is {pixels, width, height}: pixels are a Uint8Array, Uint16Array or Float32Array of
   H * W values, row by row. Shapes: H W pixels. */

/** Round half to even, as numpy does. */
export function rint(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Keys' cubic with a = -0.5, Pillow's BICUBIC. */
function cubic(x) {
  const a = -0.5, d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

// Pillow's filters (Resample.c): how far they reach, in pixels of the result, and their weights.
const FILTERS = {
  box: { reach: 0.5, weight: (x) => Number(x > -0.5 && x <= 0.5) },
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { reach: 2, weight: cubic },
};
// Weights of 8-bit pixels are integers of this unit.
const UNIT = 2 ** 22;

const rounded = (value) => Math.trunc(value + (value < 0 ? -0.5 : 0.5));
const clipped = (value, top) => Math.min(top, Math.max(0, value));
// How Pillow stores a sum of weighted pixels.
const STORE = {
  Uint8Array: (sum) => clipped(Math.floor((sum + UNIT / 2) / UNIT), 255),
  Uint16Array: (sum) => clipped(rounded(sum), 65535),
  Float32Array: (sum) => sum,
};

/** For each of `to` pixels made of `from`, less `edge` on each side: the first that counts, and how much each does. */
function taps(from, to, { reach, weight }, whole, edge) {
  const scale = (from - 2 * edge) / to, wide = Math.max(scale, 1), share = 1 / wide;
  return Array.from({ length: to }, (_, place) => {
    const centre = edge + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach * wide + 0.5));
    const end = Math.min(from, Math.trunc(centre + reach * wide + 0.5));
    const weights = new Float64Array(end - first);
    let sum = 0;
    for (let i = 0; i < weights.length; i++) {
      weights[i] = weight((i + first - centre + 0.5) * share);
      sum += weights[i];
    }
    for (let i = 0; i < weights.length; i++) {
      if (sum !== 0) weights[i] /= sum;
      if (whole) weights[i] = rounded(weights[i] * UNIT);
    }
    return { first, weights };
  });
}

/**
 * The picture in another size, as `Image.resize` of Pillow gives it.
 *
 * @param {Picture} picture
 * @param {number[]} size width and height.
 * @param {string} filter `box`, `bilinear` or `bicubic`.
 * @param {number} edge pixels on each side that only lend their values, as outside of `box` there.
 * @returns {Picture}
 *
 * @typedef {{pixels: any, width: number, height: number}} Picture
 */
export function resize({ pixels, width, height }, [across, down], filter, edge = 0) {
  const Pixels = pixels.constructor, store = STORE[Pixels.name], whole = Pixels === Uint8Array;
  let rows = pixels;
  if (across !== width || edge) {
    rows = new Pixels(across * height);
    const columns = taps(width, across, FILTERS[filter], whole, edge);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < across; x++) {
        const { first, weights } = columns[x], from = y * width + first;
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += pixels[from + i] * weights[i];
        rows[y * across + x] = store(sum);
      }
    }
  }
  if (down === height && !edge) return { pixels: rows, width: across, height };
  const resized = new Pixels(across * down), sums = new Float64Array(across);
  taps(height, down, FILTERS[filter], whole, edge).forEach(({ first, weights }, y) => {
    sums.fill(0);
    for (let i = 0; i < weights.length; i++) {
      const from = (first + i) * across, weight = weights[i];
      for (let x = 0; x < across; x++) sums[x] += rows[from + x] * weight;
    }
    for (let x = 0; x < across; x++) resized[y * across + x] = store(sums[x]);
  });
  return { pixels: resized, width: across, height: down };
}
