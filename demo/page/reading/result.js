// What a reader is told: the truth of a case, and the figures at the end.

import { el } from "../base/dom.js";

const listed = (names) => (names.length ? names.join(", ") : "nothing");
const overlap = (value, none) => (value === null ? none : `${Math.round(100 * value)} %`);
const mark = (right) => (right ? "✓ right" : "✗ not right");

/** Whether two answers name the same findings. */
const same = (a, b) => a.findings.join() === b.findings.join();

/** How the case ended: the reader before and after, and the network. */
export function readingVerdict({ mine, final, truth }) {
  const { before, after, network } = truth.right;
  const change = !same(mine, final);
  const line = (who, right) => el("li", { class: right ? "cx-r-yes" : "cx-r-no" },
    `${who}: `, el("b", { text: mark(right) }));
  const box = el("div", { class: "cx-r-verdict" },
    el("ul", {}, line(change ? "You, before" : "You", before),
      ...(change ? [line("You, after", after)] : []), line("The network", network)));
  const titles = (names) => listed(names.map((name) => name.replaceAll("_", " ")));
  const notes = [];
  if (truth.false_alarms.length) notes.push(`The network raised a false alarm: ${titles(truth.false_alarms)}.`);
  if (truth.misses.length) notes.push(`The network missed: ${titles(truth.misses)}.`);
  if (before && !after) notes.push("You changed a right answer to a wrong one.");
  if (!before && after) notes.push("You changed a wrong answer to the right one.");
  if (notes.length) box.append(el("p", { text: notes.join(" ") }));
  return box;
}

/** The truth in words: each finding with its sign and how well the boxes fit. */
export function readingTruth({ truth }) {
  const cards = truth.findings.map(({ title, sign, strength, boxes, iou }) => {
    const card = el("div", { class: "cx-r-card" },
      el("h3", { text: strength ? `${title}, ${strength}` : title }), el("p", { text: sign }));
    if (boxes.length) {
      card.append(el("p", { class: "cx-small",
        title: "Area that both cover, as a share of the area that either covers (IoU)",
        text: `Overlap with the true boxes: you ${overlap(iou.mine, "drew none")}, ` +
          `network ${overlap(iou.network, "shows none")}.` }));
    }
    return card;
  });
  if (!cards.length) {
    cards.push(el("div", { class: "cx-r-card" }, el("h3", { text: "Nothing" }),
      el("p", { text: "No finding is on this picture." })));
  }
  if (truth.not_there.length) {
    cards.push(el("div", { class: "cx-r-card cx-r-absent" }, el("h3", { text: "Not there" }),
      ...truth.not_there.map(({ title, sign }) =>
        el("p", {}, el("b", { text: `${title} would be: ` }), sign))));
  }
  for (const text of [truth.note, truth.source && `Source: ${truth.source}`]) {
    if (text) cards.push(el("p", { class: "cx-small", text }));
  }
  return cards;
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

function table(caption, head, rows) {
  const cells = (values, tag) => values.map((value, k) => {
    const cell = value instanceof Node ? value : document.createTextNode(value);
    const first = tag === "td" && k === 0;
    return el(first ? "th" : tag, first ? { scope: "row" } : tag === "th" ? { scope: "col" } : {}, cell);
  });
  return el("div", { class: "cx-card", tabindex: "0", role: "region", "aria-label": caption },
    el("h3", { text: caption }),
    el("table", {}, el("thead", {}, el("tr", {}, ...cells(head, "th"))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row, "td"))))));
}

const outOf = ({ right, cases }) => (cases ? `${right} of ${cases}` : "–");

function mistakesText({ false_alarms, misses, looked_through, fewer }) {
  const held = `Among the pictures were ${plural(false_alarms, "case")} with a false alarm of the ` +
    `network and ${misses} with a finding that it missed.`;
  if (!fewer) return `${held} Nobody told you which.`;
  return `${held} More were not found: this network makes few such mistakes on the ` +
    `${looked_through} pictures that were looked through.`;
}

/** The end of a dozen; `more`: whether another may follow. */
export function readingFigures(found, more = true) {
  const { cases, right, findings, sure } = found;
  const big = (value, text) => el("div", {}, el("b", { text: `${value} of ${cases}` }),
    el("span", { text }));
  const named = (who) => `${findings[who].found} of ${findings.there}`;
  const row = (k) => {
    const { there, before, after, network, right: was } = found.table[k];
    const cell = (names, ok) => el("span", { class: ok ? "cx-r-yes" : "cx-r-no" },
      el("b", { text: ok ? "✓ " : "✗ " }), listed(names));
    return [String(k + 1), listed(there), cell(before, was.before), cell(after, was.after),
      cell(network, was.network)];
  };
  const { overlap: fit } = found;
  const followed = found.followed ? ` (${found.followed} of them followed a network that was wrong)` : "";
  return [
    el("h2", { tabindex: "-1", text: `Your ${cases} cases` }),
    el("div", { class: "cx-r-big" }, big(right.before, "right before the network"),
      big(right.after, "right after the network"), big(right.network, "the network alone")),
    el("p", { text: `You changed ${plural(found.to_right, "answer")} to right and ` +
      `${found.to_wrong} to wrong${followed}.` }),
    el("p", { text: mistakesText(found.mistakes) }),
    el("div", { class: "cx-cards" },
      table("How sure, and how often right", ["Step", "You", "Network"],
        sure.map(({ step, mine, network }) => [step, outOf(mine), outOf(network)])),
      table("Finding by finding", ["", "Found", "Named, not there"], [
        ["You, before", named("before"), String(findings.before.wrong)],
        ["You, after", named("after"), String(findings.after.wrong)],
        ["Network", named("network"), String(findings.network.wrong)]]),
      table("Boxes", ["Overlap with the truth", "Mean"], [
        ["You", overlap(fit.mine, "no box")],
        ["Network, same findings", overlap(fit.network, "–")]])),
    table("All cases", ["Case", "Truth", "You, before", "You, after", "Network"],
      found.table.map((_, k) => row(k))),
    el("p", { class: "cx-small", text: "A case is right when exactly the findings that are there " +
      (found.scores
        ? "were named. The network names a finding whose score reaches its threshold. Nobody calibrated " +
          "it: its scores are no chances, so how sure it is cannot be said. "
        : "were named. The network names a finding from 50 % on, if it is over the finding's own " +
          "threshold. Its sureness is the chance that all its answers are right, if they were independent. ") +
      "Who is well calibrated is right in under half of the guesses and in over 80 % of the very " +
      "sure cases; a dozen is too few to judge by." }),
    el("p", { class: "cx-r-go" },
      ...(more ? [el("button", { type: "button", class: "cx-r-main", "data-do": "another", text: "Read another dozen" })] : []),
      el("button", { type: "button", "data-do": "begin", text: "Begin again" })),
  ];
}
