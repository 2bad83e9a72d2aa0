/* What a viewer shows for the words of a DICOM: its padding, slope, window or table, and range.
   chexnet/imaging/presentation.py in the browser, which gives the reasons. */

import { rint } from "../base/resize.js";
import { ONE_VALUE, Refusal } from "./container.js";
import { TAGS, wordsOf } from "./elements.js";
import { histogram, valueRange } from "./value_range.js";

/**
 * Stored words as a viewer shows them: {pixels, width, height, low, high}.
 *
 * Every step is a function of one word, so it is applied to the few that occur.
 *
 * @param {import("../base/resize.js").Picture} picture its words.
 * @param {import("./elements.js").Elements} data
 * @param {object} limits of `valueRange`.
 */
export function show(picture, data, limits) {
  const counts = histogram(picture.pixels), occurring = [...counts.keys()].filter((word) => counts[word]);
  const bits = data.number(TAGS.stored), signed = data.number(TAGS.signed) === 1;
  const numbers = numbersOf(data, bits, signed), isPadding = paddingOf(data, bits, signed);
  const kept = occurring.filter((word) => !isPadding(word, numbers(word)));
  if (!kept.length) throw new Refusal("is blank: it holds nothing but padding.");
  const steps = [...new Set(kept.map(numbers))].sort((a, b) => a - b);
  const [first, last] = [steps[0], steps.at(-1)], base = signed ? -(2 ** (bits - 1)) : 0;
  if (first === last) throw new Refusal(ONE_VALUE);
  // In colour, neither has a meaning.
  const { shown, span } = data.number(TAGS.samples) === 1 ? windowed(modality(steps, data), data) : { shown: steps, span: null };
  let top = 2 ** bits - 1, low = first - base, high = last - base, table = steps.map((step) => step - base);
  if (span || bits < 8 || shown.some((value, i) => i && value <= shown[i - 1])) {
    const [least, most] = span ?? extremes(shown), [darkest, brightest] = extremes(shown);
    if (least === most || darkest === brightest) throw new Refusal("is blank as its window shows it.");
    top = Math.max(top, 255);
    table = shown.map((value) => rint(((value - least) / (most - least)) * top));
    [low, high] = [0, top];
  } else if (bits === 8) [low, high] = [0, top];
  if (data.text(TAGS.photometric) === "MONOCHROME1") {
    table = table.map((value) => top - value);
    [low, high] = [top - high, top - low];
  }
  const Pixels = bits <= 8 ? Uint8Array : Uint16Array, whole = new Pixels(counts.length);
  const place = new Map(steps.map((step, i) => [step, table[i]]));
  for (const word of kept) whole[word] = place.get(numbers(word));
  const black = occurring.filter((word) => isPadding(word, numbers(word)));
  const looked = () => {
    const pixels = new Pixels(picture.pixels.length);
    for (let i = 0; i < pixels.length; i++) pixels[i] = whole[picture.pixels[i]];
    return { ...picture, pixels };
  };
  if (!span && bits > 8) {
    const own = new Float64Array(2 ** 16);
    for (const word of kept) own[whole[word]] += counts[word];
    const commonest = own.indexOf(own.reduce((most, count) => Math.max(most, count)));
    for (const word of black) whole[word] = commonest; // where no outlier is looked for
    ({ low, high } = valueRange(looked(), own, limits));
    for (const word of kept) whole[word] = Math.min(high, Math.max(low, whole[word]));
  }
  for (const word of black) whole[word] = low;
  return { ...looked(), low, high };
}

const extremes = (values) => [Math.min(...values), Math.max(...values)];

/** An unsigned number of so many bits as a signed one. */
const signedOf = (number, bits) => (number < 2 ** (bits - 1) ? number : number - 2 ** bits);

/** What stands in a word: High Bit shifts, what lies beyond Bits Stored is no part of it. */
function numbersOf(data, bits, signed) {
  const above = data.number(TAGS.highBit), depth = data.number(TAGS.allocated);
  const shift = above !== undefined && bits <= above + 1 && above + 1 <= depth ? above + 1 - bits : 0;
  return (word) => {
    const number = (word >> shift) & (2 ** bits - 1);
    return signed ? signedOf(number, bits) : number;
  };
}

/** Whether a word, and the number in it, are no picture. */
function paddingOf(data, bits, signed) {
  if (data.number(TAGS.padding) === undefined) return () => false;
  const given = [TAGS.padding, TAGS.paddingLimit].map((tag) => data.number(tag)).filter((end) => end !== undefined);
  const [least, most] = extremes(given.map((end) => (signed ? signedOf(end, 16) : end)));
  const floor = signed ? -(2 ** (bits - 1)) : 0, size = data.number(TAGS.allocated);
  // A padding value of more bits than are stored is meant as a whole word.
  const whole = least < floor || most >= floor + 2 ** bits;
  return (word, number) => {
    const value = whole ? (signed ? signedOf(word, size) : word) : number;
    return value >= least && value <= most;
  };
}

/** The numbers of a text element, NaN for what is none. */
const decimals = (data, tag) => data.text(tag).split("\\").map((text) => (text.trim() ? Number(text) : Number.NaN));

/** Apply the modality LUT or the rescale slope and intercept. */
function modality(values, data) {
  const table = data.get(TAGS.modalityLut)?.item;
  if (table) return lookUp(values, table, data).shown;
  if (!data.text(TAGS.slope) || !data.text(TAGS.intercept)) return values;
  const [[slope], [intercept]] = [decimals(data, TAGS.slope), decimals(data, TAGS.intercept)];
  if (Number.isNaN(slope + intercept)) throw new Error("no number");
  return values.map((value) => value * slope + intercept);
}

/** Apply the first VOI LUT or window: {shown, span}; no span where there is neither. */
function windowed(values, data) {
  const table = data.get(TAGS.voiLut)?.item;
  if (table) return lookUp(values, table, data);
  const widths = decimals(data, TAGS.width);
  const voi = decimals(data, TAGS.center).map((center, i) => ({ center, width: widths[i] }))
    .find(({ center, width }) => Number.isFinite(center) && Number.isFinite(width) && width > 0);
  if (!voi) return { shown: values, span: null };
  let { center, width } = voi, name = data.text(TAGS.voiFunction) || "LINEAR";
  if (name === "SIGMOID") {
    return { shown: values.map((value) => 1 / (1 + Math.exp((-4 * (value - center)) / width))), span: [0, 1] };
  }
  if (name === "LINEAR" && width < 1) name = "LINEAR_EXACT"; // over a range of 0 to 1, that is meant
  if (name === "LINEAR") [center, width] = [center - 0.5, width - 1];
  else if (name !== "LINEAR_EXACT") throw new Error("unknown function");
  const shown = values.map((value) => {
    if (value <= center - width / 2) return 0;
    return value > center + width / 2 ? 1 : (value - center) / width + 0.5;
  });
  return { shown, span: [0, 1] };
}

/** Map values through a LUT of the file; its range is that of its entries. */
function lookUp(values, item, data) {
  const [count, start] = item.words(TAGS.lutDescriptor), { vr } = item.get(TAGS.lutDescriptor);
  const signed = vr === "SS" || (vr !== "US" && data.number(TAGS.signed) === 1);
  const first = signed ? signedOf(start, 16) : start, bytes = item.get(TAGS.lutData).data;
  const all = bytes.length === count ? bytes : wordsOf(bytes, bytes.length >> 1, item.little);
  const entries = [...all.subarray(0, count || 2 ** 16)];
  const shown = values.map((value) => entries[Math.min(entries.length - 1, Math.max(0, rint(value) - first))]);
  return { shown, span: extremes(entries) };
}
