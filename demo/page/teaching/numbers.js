// The arithmetic of the tab "Thresholds". Nothing here touches the page: tests call these functions.

import { bytesOf } from "../viewer/drawing.js";

const NO_VALUE = 65535;
export const PEOPLE = 1000;

/** Counts at a place of a curve: {tp, fp, fn, tn}. */
export function countsAt(curve, place) {
  const tp = curve.true[place], fp = curve.false[place];
  return { tp, fp, fn: curve.positives - tp, tn: curve.negatives - fp };
}

const ratio = (part, rest) => (part + rest > 0 ? part / (part + rest) : NaN);

/** Figures of counts, or of rates in place of counts; NaN where nothing can be said. */
export function measuresOf({ tp, fp, fn, tn }) {
  return {
    sensitivity: ratio(tp, fn), specificity: ratio(tn, fp), ppv: ratio(tp, fp),
    npv: ratio(tn, fn), f1: ratio(2 * tp, fp + fn),
  };
}

/** PPV and NPV in people of whom a share p has it, by Bayes' rule. */
export function atPrevalence({ sensitivity, specificity }, p) {
  const tp = p * sensitivity, fn = p * (1 - sensitivity);
  const tn = (1 - p) * specificity, fp = (1 - p) * (1 - specificity);
  return { ppv: ratio(tp, fp), npv: ratio(tn, fn) };
}

/** The 95 % interval of a measure, [low, high], or null for none. */
export function intervalAt(content, curve, measure, place) {
  if (!curve.intervals) return null;
  curve.unpacked ??= new Uint16Array(bytesOf(curve.intervals).buffer);
  const row = content.measures.indexOf(measure) * curve.thresholds.length + place;
  const [low, high] = [curve.unpacked[2 * row], curve.unpacked[2 * row + 1]];
  return low === NO_VALUE ? null : [low / (NO_VALUE - 1), high / (NO_VALUE - 1)];
}

/**
 * The interval of PPV or NPV at prevalence p. Its odds are those at one half times a number that is
 * the same in every draw, so the order of the draws stays, and with it the percentiles.
 */
export function intervalAtPrevalence(content, curve, measure, place, p) {
  const even = intervalAt(content, curve, `${measure}_even`, place);
  const odds = measure === "ppv" ? p / (1 - p) : (1 - p) / p;
  return even?.map((value) => ratio(odds * value, 1 - value));
}

/** The same in whole people, 1,000 in all: {ill, well, tp, fn, fp, tn}. */
export function frequencies({ sensitivity, specificity }, p) {
  const ill = Math.round(PEOPLE * p), well = PEOPLE - ill;
  const tp = Math.round(ill * sensitivity), tn = Math.round(well * specificity);
  return { ill, well, tp, fn: ill - tp, fp: well - tn, tn };
}

/** The place of the least threshold that is not below a value. */
export function placeOf(curve, value) {
  const place = curve.thresholds.findIndex((threshold) => threshold >= value);
  return place < 0 ? curve.thresholds.length - 1 : place;
}

/** The place of the greatest sensitivity + specificity. */
export function bestPlace(curve) {
  const sums = curve.thresholds.map((_, i) => {
    const { sensitivity, specificity } = measuresOf(countsAt(curve, i));
    return sensitivity + specificity;
  });
  return sums.indexOf(Math.max(...sums));
}

const points = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} percentage points`;

/** What the number of images means for whoever reads the curve. */
export function meaningOf(curve, group) {
  const { positives, patients } = curve;
  const of = patients ? ` (${patients[0].toLocaleString("en")} patients)` : "";
  const start = `${positives.toLocaleString("en")} of ${group.images.toLocaleString("en")} `
    + `${group.title} show it${of}`;
  if (!positives || !curve.negatives) return `${start}: there is no curve.`;
  const step = points(100 / positives);
  const older = group.kind === "images"
    ? " This weights file keeps no scores by patient, so there are no intervals." : "";
  if (positives < 5 || (patients && patients[0] < 5)) {
    return `${start}. Each of them is ${step} of sensitivity: one picture more or less changes the `
      + `curve. Under 5 patients there is no interval. Conclude nothing from it.${older}`;
  }
  const wide = positives < 30 ? ": the intervals are wide, and the curve is a staircase" : "";
  return `${start}. Each of them is ${step} of sensitivity${wide}.${older}`;
}
