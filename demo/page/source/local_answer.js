/* A picture's bytes to the page's answer, as demo/service.py and demo/answer.py give it. */

import { base64Of, deflated } from "./container.js";
import { read, turned } from "./decode.js";
import { judge } from "./gate.js";
import { frame, itemPixels, reduced } from "./crop.js";

// EXIF's orientations that turn a picture to the left by so many quarters.
const TURNS = [1, 8, 3, 6];

/**
 * The answer to a picture; the result is missing while the gate objects and nobody goes on.
 *
 * @param {Uint8Array} bytes of a file.
 * @param {{anyway: boolean, corrected: number}} how see `analyse` of server.js.
 * @param {any} facts what demo/local_facts.py says.
 * @param {(item: Uint8Array) => Promise<Output>} run the network: of 8-bit pixels (size * size).
 * @returns {Promise<import("./answer.js").Answer>}
 *
 * @typedef {{logits: Float32Array, contributions: Float32Array, cells: number[]}} Output
 */
export async function answerTo(bytes, { anyway, corrected }, facts, run) {
  const whole = await read(bytes, facts.reading);
  let { width, height } = whole, shown = atDisplaySize(whole, facts.max_side);
  let looked = whole, verdict = judge(whole, facts.gate);
  for (let time = 0; time < corrected; time++) {
    shown = upright(shown, verdict);
    if (verdict.turns % 2) [width, height] = [height, width];
    looked = shown;
    verdict = judge(shown, facts.gate);
  }
  const { fine, kind, message, turns, inverted } = verdict, open = fine || anyway;
  const head = {
    ...facts.answer,
    id: [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
    facts: factsText(whole.facts, width, height),
    example: false,
    gate: { fine, kind, message, open, correctable: turns > 0 || inverted },
    preview: await preview(shown),
  };
  if (!open) return head;
  const output = await run(itemPixels(as8Bits(looked), facts.preprocessing));
  return { ...head, ...resultOf(output, facts, shown) };
}

/** What the network says; `result_of`. */
function resultOf({ logits, contributions, cells }, { result, preprocessing }, { width, height }) {
  const named = (value) => Object.fromEntries(result.classes.map((name, i) => [name, value(name, logits[i])]));
  const probability = named((name, logit) => {
    const { slope, bias } = result.calibration[name] ?? { slope: 1, bias: 0 };
    return 1 / (1 + Math.exp(-(slope * logit + bias)));
  });
  return {
    ...result,
    crop: { percent: preprocessing.crop, box: frame(preprocessing, width, height) },
    cells,
    contributions: base64Of(bytesIn(contributions)),
    logit: named((_, logit) => logit),
    probability,
    first: result.findings.reduce((best, name) => (probability[name] > probability[best] ? name : best)),
  };
}

/** Values from `low` to `high` stretched from 0 to `top`. */
function scaled({ pixels, low, high }, Pixels, top) {
  const span = high - low, table = new Pixels(high + 1), stretched = new Pixels(pixels.length);
  for (let step = 0; step <= span; step++) table[low + step] = Math.floor((step * top + (span >> 1)) / span);
  for (let i = 0; i < stretched.length; i++) stretched[i] = table[pixels[i]];
  return stretched;
}

/** The radiograph in 8 bits; `Radiograph.as_uint8`. */
const as8Bits = (radiograph) => (radiograph.pixels instanceof Uint8Array
  ? radiograph : { ...radiograph, pixels: scaled(radiograph, Uint8Array, 255) });

/** At most `side` pixels a side, 16 bits from 0 to 65,535; `Radiograph.reduced`. */
function atDisplaySize(radiograph, side) {
  const deep = radiograph.pixels instanceof Uint16Array, top = deep ? 65535 : 255;
  const pixels = deep ? scaled(radiograph, Uint16Array, top) : radiograph.pixels;
  return { ...reduced({ ...radiograph, pixels }, side), low: 0, high: top };
}

/** Turned to the left by quarters, and with light and dark exchanged; `Radiograph.corrected`. */
function upright(shown, { turns, inverted }) {
  const picture = turned(shown, TURNS[turns]);
  return inverted ? { ...picture, pixels: picture.pixels.map((value) => shown.high - value) } : picture;
}

/** What was read of the picture, in a line; `facts_text`. */
function factsText({ format, bits, turned: turn, inverted }, width, height) {
  const parts = [format, `${width} x ${height}`, `${bits} bit`];
  if (bits > 8) parts.push("scaled by the range it uses");
  if (turn) parts.push("turned as the file says");
  if (inverted) parts.push("bones made bright");
  return parts.join(", ");
}

/** The picture for a canvas, `preview` of demo/answer.py; as nothing is sent, no PNG of 8 bits either. */
async function preview({ pixels, width, height }) {
  const bits = 8 * pixels.BYTES_PER_ELEMENT;
  return { width, height, bits, encoding: `deflate${bits}`, data: base64Of(await deflated(bytesIn(pixels))) };
}

/** The bytes of a typed array. */
const bytesIn = ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength);
