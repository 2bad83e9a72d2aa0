/* From an answer's numbers to pixels. Nothing here touches the page: tests call these functions.

   The reference is chexnet/overlay.py, and the canvas has to equal it within 2 grey levels.
   Where the arithmetic there is float32, Math.fround makes it so here: a strength just below a step
   of the look-up would otherwise fall on the other side, which is 16 grey levels for weak heat.

   Shapes: h w cells of a heatmap, H W pixels of the preview. */

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
 * A canvas cuts a 16-bit PNG to 8 bits, so deeper pictures come as raw values, compressed.
 * Returns {pixels: Uint8Array or Uint16Array (H * W), or null without a canvas, bits}.
 */
export async function decodePreview(answer) {
  const { encoding, data, width, height } = answer.preview;
  if (encoding === "png") return { pixels: await grayOfPng(data, width, height), bits: 8 };
  const packed = new Blob([bytesOf(data)]).stream();
  const unpacked = packed.pipeThrough(new DecompressionStream("deflate"));
  const pixels = new Uint16Array(await new Response(unpacked).arrayBuffer());
  return { pixels, bits: 16 };
}

/** Round half to even, as numpy does. */
export function rint(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
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

/** Keys' cubic with a = -0.5, Pillow's BICUBIC. */
export function cubic(x) {
  const a = -0.5, d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

// Where numpy's "reflect" takes the value from that lies outside of n cells.
function mirrored(index, n) {
  if (n === 1) return 0;
  const period = 2 * (n - 1);
  const place = ((index % period) + period) % period;
  return place < n ? place : period - place;
}

// For each of `size` pixels along an axis of n cells: which cells count how much.
function taps(n, size) {
  const scale = n / size;
  const wide = Math.max(scale, 1); // over 1 only for a picture smaller than its heatmap
  const count = 2 * Math.ceil(REACH * wide) + 1;
  const cells = new Int32Array(size * count);
  const weights = new Float64Array(size * count);
  for (let x = 0; x < size; x++) {
    const centre = REACH + (x + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - REACH * wide + 0.5));
    const high = Math.min(n + 2 * REACH, Math.trunc(centre + REACH * wide + 0.5));
    let sum = 0;
    for (let cell = low; cell < high; cell++) sum += cubic((cell - centre + 0.5) / wide);
    for (let cell = low; cell < high; cell++) {
      const at = x * count + cell - low;
      cells[at] = mirrored(cell - REACH, n);
      weights[at] = cubic((cell - centre + 0.5) / wide) / sum;
    }
  }
  return { count, cells, weights };
}

/**
 * A heatmap between its cells, `enlarge` of overlay.py: mirrored at the outer cells, bicubic,
 * first along the rows and then down the columns, as Pillow does it.
 *
 * heat: {values: float32 (h * w), h, w}. Returns Float32Array (H * W).
 */
export function enlarge({ values, h, w }, height, width) {
  const across = taps(w, width), down = taps(h, height);
  const wide = new Float32Array(h * width);
  for (let row = 0; row < h; row++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let t = x * across.count; t < (x + 1) * across.count; t++) {
        sum += across.weights[t] * values[row * w + across.cells[t]];
      }
      wide[row * width + x] = sum;
    }
  }
  const out = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const line = out.subarray(y * width, (y + 1) * width);
    const from = y * down.count;
    const weights = down.weights.subarray(from, from + down.count);
    const rows = Array.from(weights, (_, t) => {
      const start = down.cells[from + t] * width;
      return wide.subarray(start, start + width);
    });
    // A picture larger than its heatmap has four cells a pixel: written out, it is twice as quick.
    if (weights.length === 5 && weights[4] === 0) {
      const [a, b, c, d] = weights, [i, j, k, l] = rows;
      for (let x = 0; x < width; x++) line[x] = a * i[x] + b * j[x] + c * k[x] + d * l[x];
    } else {
      for (let x = 0; x < width; x++) {
        line[x] = weights.reduce((sum, weight, t) => sum + weight * rows[t][x], 0);
      }
    }
  }
  return out;
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
  const seen = enlarge(heat, lower - upper, wide);
  const none = twoSided ? STEPS : 0;
  const steps = new Uint16Array(height * width).fill(none);
  const most = Math.fround(Math.max(top, 1e-9));
  const least = twoSided ? -1 : 0;
  for (let y = 0; y < lower - upper; y++) {
    const start = (upper + y) * width + left;
    const line = steps.subarray(start, start + wide);
    const from = seen.subarray(y * wide, (y + 1) * wide);
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
