/* From an answer's numbers to pixels. Nothing here touches the page: tests call these functions.

   The reference is chexnet/overlay.py, and the canvas has to equal it within 2 grey levels.
   Where the arithmetic there is float32, Math.fround makes it so here: a strength just below a step
   of the look-up would otherwise fall on the other side, which is 16 grey levels for weak heat.

   Shapes: h w cells of a heatmap, H W pixels of the preview. */

import { resize, rint } from "../base/resize.js";

// Steps of heat in the look-up, as in overlay.py.
const STEPS = 255;
// Cells on each side that a cubic looks at.
const REACH = 2;
// PNG pictures of a canvas hold RGBA; a Uint32 of them is little-endian on every browser's machine.
const OPAQUE = 0xff000000;

/** Bytes of base64 text. A loop: Uint8Array.from with a function takes 10 times as long. */
export function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** Float32 values of base64 text, little-endian. */
export const floatsOf = (text) => new Float32Array(bytesOf(text).buffer);

async function grayOfPng(text, width, height) {
  const blob = new Blob([bytesOf(text)], { type: "image/png" });
  // Without a colour conversion the pixels are the file's own.
  const image = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return null;
  context.drawImage(image, 0, 0);
  image.close();
  const { data } = context.getImageData(0, 0, width, height);
  const gray = new Uint8Array(width * height);
  for (let i = 0; i < gray.length; i++) gray[i] = data[4 * i];
  return gray;
}

/**
 * The preview's pixels in the depth that it has.
 *
 * A canvas cuts a 16-bit PNG to 8 bits, so deeper pictures come as raw values, compressed; so do
 * those of 8 bits that were never sent.
 * Returns {pixels: Uint8Array or Uint16Array (H * W), or null without a canvas, bits}.
 */
export async function decodePreview(answer) {
  const { encoding, bits, data, width, height } = answer.preview;
  if (encoding === "png") return { pixels: await grayOfPng(data, width, height), bits };
  const packed = new Blob([bytesOf(data)]).stream();
  const unpacked = packed.pipeThrough(new DecompressionStream("deflate"));
  const values = await new Response(unpacked).arrayBuffer();
  return { pixels: bits > 8 ? new Uint16Array(values) : new Uint8Array(values), bits };
}

/**
 * Window, level and inversion as a table from stored value to gray, Uint8Array (2 ** bits).
 * level: brightness that becomes middle gray; window: range that is shown; both 0 to 1.
 */
export function windowTable(bits, level, window, invert) {
  const top = 2 ** bits - 1;
  const table = new Uint8Array(top + 1);
  for (let value = 0; value <= top; value++) {
    let share = (value / top - level) / window + 0.5;
    share = Math.min(1, Math.max(0, share));
    table[value] = rint(255 * (invert ? 1 - share : share));
  }
  return table;
}

/** Stored values through a table: Uint8Array (H * W). */
export function windowed(pixels, table, into = new Uint8Array(pixels.length)) {
  for (let i = 0; i < pixels.length; i++) into[i] = table[pixels[i]];
  return into;
}

// Where numpy's "reflect" takes the value from that lies outside of n cells.
function mirrored(index, n) {
  if (n === 1) return 0;
  const period = 2 * (n - 1);
  const place = ((index % period) + period) % period;
  return place < n ? place : period - place;
}

/**
 * A heatmap between its cells, `enlarge` of overlay.py: mirrored at the outer cells, bicubic.
 *
 * heat: {values: float32 (h * w), h, w}. Returns Float32Array (H * W).
 */
export function enlarge({ values, h, w }, height, width) {
  const padded = { pixels: new Float32Array((h + 2 * REACH) * (w + 2 * REACH)), width: w + 2 * REACH, height: h + 2 * REACH };
  for (let y = 0, i = 0; y < padded.height; y++) {
    for (let x = 0; x < padded.width; x++) padded.pixels[i++] = values[mirrored(y - REACH, h) * w + mirrored(x - REACH, w)];
  }
  return resize(padded, [width, height], "bicubic", REACH).pixels;
}

/**
 * The step of heat of every pixel, Uint16Array (H * W), as `lookup` wants it.
 *
 * box: left, top, right, bottom of what the network saw; outside of it there is no heat.
 * One-sided: 0 (none) to 255. Two-sided: 0 (all against), 255 (none), 510 (all for).
 */
export function heatSteps(heat, box, height, width, top, twoSided) {
  const [left, upper, right, lower] = box;
  const wide = right - left;
  const enlarged = enlarge(heat, lower - upper, wide);
  const none = twoSided ? STEPS : 0;
  const steps = new Uint16Array(height * width).fill(none);
  const most = Math.fround(Math.max(top, 1e-9));
  const least = twoSided ? -1 : 0;
  for (let y = 0; y < lower - upper; y++) {
    const start = (upper + y) * width + left;
    const line = steps.subarray(start, start + wide);
    const from = enlarged.subarray(y * wide, (y + 1) * wide);
    for (let x = 0; x < wide; x++) {
      const strength = Math.min(1, Math.max(least, Math.fround(from[x] / most)));
      line[x] = none + (Math.fround(strength * STEPS) | 0);
    }
  }
  return steps;
}

/**
 * A step's colour and how much of it is mixed in: {colour: [r, g, b], share}.
 *
 * One-sided as in overlay.py, opacity times the root. A root is vertical at 0: on a two-sided map
 * it would draw a line along every zero crossing. 2 s - s * s is as strong without one.
 */
function mixOf(step, colours, opacity, twoSided) {
  if (!twoSided) return { colour: colours[step], share: opacity * Math.sqrt(step / STEPS) };
  const strength = Math.abs(step - STEPS) / STEPS;
  return { colour: colours[(step + 1) >> 1], share: opacity * strength * (2 - strength) };
}

/** Every step of heat over every gray, as RGBA: Uint32Array (steps * 256). */
export function lookup(colours, opacity, twoSided = false) {
  const rows = twoSided ? 2 * STEPS + 1 : STEPS + 1;
  const table = new Uint32Array(rows * 256);
  for (let step = 0; step < rows; step++) {
    const { colour, share } = mixOf(step, colours, opacity, twoSided);
    const [r, g, b] = colour.map((value) => value * share + 0.5);
    for (let gray = 0, at = step * 256; gray < 256; gray++, at++) {
      const rest = gray * (1 - share);
      table[at] = OPAQUE | ((rest + b) << 16) | ((rest + g) << 8) | (rest + r);
    }
  }
  return table;
}

/**
 * The picture. gray: Uint8Array (H * W). steps and table: of the heat, or null for none.
 * split: columns left of it show the radiograph alone. into: an ImageData to use again.
 */
export function render({ gray, steps, table, width, height, split = 0, into = null }) {
  const image = into ?? new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const from = steps ? Math.min(width, Math.max(0, Math.round(split))) : width;
  for (let y = 0, at = 0; y < height; y++) {
    const middle = at + from, end = at + width;
    for (; at < middle; at++) out[at] = OPAQUE | (gray[at] * 0x010101);
    for (; at < end; at++) out[at] = table[steps[at] * 256 + gray[at]];
  }
  return image;
}

/** The scale's colours over middle gray, mixed as in the picture: a CSS gradient. */
export function gradient(colours, opacity, twoSided = false) {
  const last = twoSided ? 2 * STEPS : STEPS;
  const stops = Array.from({ length: 33 }, (_, i) => {
    const { colour, share } = mixOf(Math.round((i * last) / 32), colours, opacity, twoSided);
    const mixed = colour.map((value) => Math.round(128 * (1 - share) + value * share));
    return `rgb(${mixed.join(" ")})`;
  });
  return `linear-gradient(90deg, ${stops.join(", ")})`;
}
