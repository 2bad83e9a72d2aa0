// Numbers as people read them. Nothing here touches the page.

/** A probability for people: `63 %`, `0.4 %`, `< 0.1 %`. */
function percent(value) {
  const shown = 100 * value;
  if (shown < 0.1) return "< 0.1 %";
  return `${shown < 10 ? shown.toFixed(1) : Math.round(shown)} %`;
}

/** What its values are called: without calibration they are no probabilities. */
export const valueName = (answer) => (answer.calibrated === false ? "score" : "probability");

/** A value for people: a probability in percent, a score as a number, `0.63`, `0.0044`. */
export function valueText(answer, value) {
  if (answer.calibrated !== false) return percent(value);
  if (value < 0.0001) return "< 0.0001";
  return value < 0.1 ? String(Number(value.toPrecision(2))) : value.toFixed(2);
}

export const isPublishers = (answer) => answer.thresholds_of === "publisher";
export const thresholdName = (answer) =>
  isPublishers(answer) ? "its publisher's threshold" : "its threshold";

/** Hundredths as people write them, with a true minus. */
export const hundredths = (value) => `${value < 0 ? "−" : ""}${(Math.abs(value) / 100).toFixed(2)}`;

export const titleOf = (answer, name) => answer.titles?.[name] ?? name.replaceAll("_", " ");

export const logit = (p) => Math.log(p / (1 - p));
export const expit = (z) => 1 / (1 + Math.exp(-z));

/** A share for people: `0.4 %`, `28 %`, `n/a`; exact 0 and 1 stay so. */
export function share(value) {
  if (value === null || Number.isNaN(value)) return "n/a";
  const shown = 100 * value;
  if (shown === 0 || shown === 100) return `${shown} %`;
  if (shown < 0.1) return "< 0.1 %";
  if (shown > 99.9) return "> 99.9 %";
  return `${shown < 10 || shown > 99 ? shown.toFixed(1) : Math.round(shown)} %`;
}

/** A value of the network for people: a score is no share of anything. */
export const figureText = (answer, value) => (answer.calibrated === false ? valueText(answer, value) : share(value));
