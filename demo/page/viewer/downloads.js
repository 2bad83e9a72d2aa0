// Files to take home, made here of what is on the screen: picture, figures, report.

import { el } from "../base/dom.js";
import { hundredths, isPublishers, titleOf, valueName, valueText } from "../base/words.js";
import { cellsOf, emptyMapSentence, evidence, isWarning, orderOf } from "./evidence.js";
import { evidenceLine } from "./findings.js";

const sumOf = (answer, name) =>
  evidence(cellsOf(answer, answer.maps, name).values, answer.bias[name], answer.logit[name]);

/** What is shown, in a line: finding, probability, method, scale. */
function shownInWords({ answer, state, legend, drawn }) {
  if (state.view === "plain" || !drawn) return "The radiograph without heat";
  const view = state.view === "compare" ? ", left of the line the radiograph alone" : "";
  return (
    `${titleOf(answer, state.finding)} ${valueText(answer, answer.probability[state.finding])} · ` +
    `${state.method}, ${legend.low} to ${legend.high}: ${legend.unit}${view}`
  );
}

/** The answer as plain values; nothing of it says whose picture it was. */
export function figures({ answer, state }) {
  const named = (of) => Object.fromEntries(answer.classes.map((name) => [name, of(name)]));
  const { fine, kind, message } = answer.gate;
  const { finding, method, view, scale, colours, opacity, level, window, invert, zoom } = state;
  return {
    notice: answer.notice,
    trained_on: answer.trained_on,
    weights: answer.weights,
    facts: answer.facts,
    gate: { fine, kind, message },
    values: valueName(answer),
    thresholds_of: answer.thresholds_of ?? null,
    probabilities: named((name) => answer.probability[name]),
    thresholds: named((name) => answer.threshold[name] ?? null),
    over_threshold: orderOf(answer).filter((name) => isWarning(answer, name)),
    evidence: {
      unit: "logits; bias + for - against = logit",
      ...named((name) => {
        const { bias, speaksFor, against, logit } = sumOf(answer, name);
        return { bias, for: speaksFor, against, logit };
      }),
    },
    calibration: answer.calibration,
    trust: answer.trust ?? null,
    shown: { finding, method, view, scale, colours, opacity, level, window, invert, zoom },
  };
}

// Text of a width in lines that fit it.
function linesOf(context, text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (context.measureText(longer).width <= width || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/**
 * The visible part of the picture, with a strip under it that says what it is: a picture travels
 * without its page. Returns a canvas.
 */
export function withStrip(shot) {
  const { x, y, width, height } = shot.visible;
  const source = shot.draw();
  const [wide, high] = [Math.max(1, Math.round(width)), Math.max(1, Math.round(height))];
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { alpha: false });
  const size = Math.max(9, Math.min(14, wide / 42));
  const font = `${size}px system-ui, sans-serif`;
  context.font = font;
  const words = [shownInWords(shot), shot.answer.notice];
  const lines = words.flatMap((text) => linesOf(context, text, wide - size));
  const line = Math.round(1.4 * size);
  canvas.width = wide;
  canvas.height = high + line * lines.length + size;
  context.drawImage(source, Math.round(x), Math.round(y), wide, high, 0, 0, wide, high);
  context.fillStyle = "#fff";
  context.font = font; // a canvas forgets it with its size
  context.textBaseline = "top";
  for (const [i, text] of lines.entries()) context.fillText(text, size / 2, high + size / 2 + i * line);
  return canvas;
}

function tableRow(answer, name) {
  const { shown } = sumOf(answer, name);
  const threshold = answer.threshold[name] ?? null;
  const cell = (text) => el("td", { class: "number", text });
  const first = el("td", { text: titleOf(answer, name) });
  first.append(el("br"), el("small", { text: answer.notes?.[name] ?? "" }));
  return el("tr", {}, first,
    cell(valueText(answer, answer.probability[name])),
    cell(threshold === null ? "none" : valueText(answer, threshold)),
    ...["bias", "for", "against", "logit"].map((term) => cell(hundredths(shown[term]))),
    el("td", { class: "number", text: isWarning(answer, name) ? "▲ above" : "" }));
}

/** A page that needs nothing else and holds nothing of the patient but the radiograph. */
export function report(shot, now = new Date()) {
  const { answer, state, legend } = shot;
  const sum = sumOf(answer, state.finding);
  const page = shot.template.content.cloneNode(true);
  const calibrated = valueName(answer) === "probability";
  const logit = calibrated ? "score" : "logit";
  const date = `${now.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  const texts = {
    notice: answer.notice,
    gate: answer.gate.fine ? "" : answer.gate.message,
    facts: answer.facts ?? "",
    shown: shownInWords(shot),
    low: legend?.low ?? "", high: legend?.high ?? "",
    evidence: el("p", {}, `${titleOf(answer, state.finding)}: `,
      ...evidenceLine(answer, state.finding, sum)).textContent,
    empty: emptyMapSentence(answer, state.finding, sum),
    trust: shot.trust,
    value: calibrated ? "Probability" : "Score",
    threshold: isPublishers(answer) ? "Publisher's threshold" : "Threshold",
    logit: calibrated ? "Score" : "Logit",
    sum: `Start, for, against and ${logit} in logits: start + for − against = ${logit}.`,
    scores: calibrated ? "" : "Scores, not probabilities: nobody calibrated this network.",
    made: `${answer.weights ? `Weights ${answer.weights}; made` : "Made"} ${date}.`,
  };
  for (const [name, text] of Object.entries(texts)) {
    for (const place of page.querySelectorAll(`[data-fill="${name}"]`)) {
      place.textContent = text;
      if (!text && place.matches("p")) place.remove();
    }
  }
  page.querySelectorAll("[data-trained]").forEach((element) => {
    if (element.dataset.trained !== answer.trained_on) element.remove();
  });
  const rows = orderOf(answer).map((name) => tableRow(answer, name));
  page.querySelector('[data-fill="rows"]').append(...rows);
  const [plain, over] = ["plain", "over"].map((name) => page.querySelector(`[data-fill="${name}"]`));
  if (shot.canvas) {
    plain.src = shot.draw(true).toDataURL("image/png");
    over.src = shot.draw().toDataURL("image/png");
    over.alt = texts.shown;
  } else page.querySelector(".pair").remove();
  const scale = page.querySelector(".scale");
  if (scale && (!legend || state.view === "plain")) scale.remove();
  else if (scale) scale.querySelector("i").style.background = shot.css;
  const body = el("body");
  body.append(page);
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>chexnet report</title>' +
    `<meta name="viewport" content="width=device-width"></head>${body.outerHTML}</html>`
  );
}

function give(blob, name) {
  const link = el("a", { download: name });
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Hand over one file. kind: png, json or html; shot: what is on the screen. */
export function save(kind, shot) {
  if (kind === "json") {
    const text = JSON.stringify(figures(shot), null, 1);
    give(new Blob([text], { type: "application/json" }), "chexnet.json");
  } else if (kind === "html") {
    give(new Blob([report(shot)], { type: "text/html" }), "chexnet_report.html");
  } else if (shot.canvas) {
    const name = `chexnet_${shot.state.finding.replaceAll(" ", "_")}.png`;
    withStrip(shot).toBlob((blob) => give(blob, name), "image/png");
  }
}
