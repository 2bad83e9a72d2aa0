/* Crop and resize, bit for bit as chexnet/transforms.py and Pillow do it.

   A picture is {pixels, width, height}: pixels are a Uint8Array, Uint16Array or Float32Array of
   H * W values, row by row. Shapes: H W pixels. */

import { cubic, rint } from "../viewer/drawing.js";

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

/** For each of `to` pixels made of `from`: the first that counts, and how much each does. */
function taps(from, to, { reach, weight }, whole) {
  const scale = from / to, wide = Math.max(scale, 1), share = 1 / wide;
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
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
 * @returns {Picture}
 *
 * @typedef {{pixels: any, width: number, height: number}} Picture
 */
export function resize({ pixels, width, height }, [across, down], filter) {
  const Pixels = pixels.constructor, store = STORE[Pixels.name], whole = Pixels === Uint8Array;
  let rows = pixels;
  if (across !== width) {
    rows = new Pixels(across * height);
    const columns = taps(width, across, FILTERS[filter], whole);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < across; x++) {
        const { first, weights } = columns[x], from = y * width + first;
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += pixels[from + i] * weights[i];
        rows[y * across + x] = store(sum);
      }
    }
  }
  if (down === height) return { pixels: rows, width: across, height };
  const found = new Pixels(across * down), sums = new Float64Array(across);
  taps(height, down, FILTERS[filter], whole).forEach(({ first, weights }, y) => {
    sums.fill(0);
    for (let i = 0; i < weights.length; i++) {
      const from = (first + i) * across, weight = weights[i];
      for (let x = 0; x < across; x++) sums[x] += rows[from + x] * weight;
    }
    for (let x = 0; x < across; x++) found[y * across + x] = store(sums[x]);
  });
  return { pixels: found, width: across, height: down };
}

/** At most `side` pixels a side, as `Image.thumbnail` of Pillow gives it with `reducing_gap=None`. */
export function reduced(picture, side) {
  const { width, height } = picture, aspect = width / height;
  if (Math.max(width, height) <= side) return picture;
  const nearest = (value, off) => {
    const [low, high] = [Math.floor(value), Math.ceil(value)];
    return Math.max(1, off(high) < off(low) ? high : low);
  };
  const size = aspect <= 1
    ? [nearest(side * aspect, (n) => Math.abs(aspect - n / side)), side]
    : [side, nearest(side / aspect, (n) => (n ? Math.abs(aspect - side / n) : 0))];
  return resize(picture, size, "bicubic");
}

/** Left, top, right and bottom of the crop by percent; `PercentCenterCrop.box`. */
function percentBox(percent, width, height) {
  const [across, down] = [width, height].map((side) => Math.max(1, rint((side * percent) / 100)));
  const [left, top] = [Math.floor((width - across) / 2), Math.floor((height - down) / 2)];
  return [left, top, left + across, top + down];
}

/** Size after resizing the shorter side, and the square's left and top; `Preprocessing._square`. */
function square({ crop, size }, width, height) {
  const short = rint((size * 100) / crop);
  const long = Math.trunc((short * Math.max(width, height)) / Math.min(width, height));
  const whole = width <= height ? [short, long] : [long, short];
  return { whole, corner: whole.map((side) => rint((side - size) / 2)) };
}

/** What the network sees of a picture: left, top, right, bottom; `Preprocessing.frame`. */
export function frame(preprocessing, width, height) {
  const { crop, size, keep_aspect } = preprocessing;
  if (!keep_aspect) return percentBox(crop, width, height);
  const { whole: [across, down], corner: [left, top] } = square(preprocessing, width, height);
  const [x, y] = [width / across, height / down];
  const [first, upper, last, lower] = [left * x, top * y, (left + size) * x, (top + size) * y].map(rint);
  return [first, upper, Math.max(last, first + 1), Math.max(lower, upper + 1)];
}

function cropped({ pixels, width }, box) {
  const [left, top, right, bottom] = box;
  const [across, down] = [right - left, bottom - top];
  const found = new pixels.constructor(across * down);
  for (let y = 0; y < down; y++) {
    const from = (top + y) * width + left;
    found.set(pixels.subarray(from, from + across), y * across);
  }
  return { pixels: found, width: across, height: down };
}

/** An 8-bit picture as the network's input, Uint8Array (size * size); `transforms.item_pixels`. */
export function itemPixels(picture, preprocessing) {
  const { width, height } = picture, { crop, size, resample, keep_aspect } = preprocessing;
  if (!keep_aspect) {
    return resize(cropped(picture, percentBox(crop, width, height)), [size, size], resample).pixels;
  }
  const { whole, corner: [left, top] } = square(preprocessing, width, height);
  return cropped(resize(picture, whole, resample), [left, top, left + size, top + size]).pixels;
}
