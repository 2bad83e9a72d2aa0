// What a reader is told: the truth of a case, and the figures at the end.

import { el } from "../base/dom.js";
import { share } from "../base/words.js";
import { figuresOf, outcome, there, unionIou } from "./figures.js";

const listed = (names) => (names.length ? names.join(", ") : "nothing");
const overlap = (value, none = "") => (value === null ? none : `${Math.round(100 * value)} %`);
const mark = (right) => (right ? "✓ right" : "✗ not right");

/** Whether two answers name the same findings. */
const same = (a, b) => a.findings.join() === b.findings.join();

/** How the case ended: the reader before and after, and the network. titleOf: a finding's name. */
export function readingVerdict(content, titleOf) {
  const { mine, final, truth } = content;
  const { first, last, network, falseAlarms } = outcome(content);
  const change = !same(mine, final);
  const line = (who, right) => el("li", { class: right ? "cx-r-yes" : "cx-r-no" },
    `${who}: `, el("b", { text: mark(right) }));
  const box = el("div", { class: "cx-r-verdict" },
    el("ul", {}, line(change ? "You, before" : "You", first),
      ...(change ? [line("You, after", last)] : []), ...(network === null ? [] : [line("The network", network)])));
  const titles = (names) => listed(names.map(titleOf));
  const notes = [];
  if (falseAlarms.length) notes.push(`The network raised a false alarm: ${titles(falseAlarms)}.`);
  if (content.network && truth.misses.length) notes.push(`The network missed: ${titles(truth.misses)}.`);
  if (first && !last) notes.push("You changed a right answer to a wrong one.");
  if (!first && last) notes.push("You changed a wrong answer to the right one.");
  if (notes.length) box.append(el("p", { text: notes.join(" ") }));
  return box;
}

/** The truth in words: each finding with its sign and how well the boxes fit. */
export function readingTruth(content, titleOf, signOf) {
  const { mine, final, network, truth } = content;
  const fit = (boxes, drawn, none) => overlap(drawn ? unionIou(drawn, boxes) : null, none);
  const cards = truth.findings.map(({ name, strength, boxes }) => {
    const card = el("div", { class: "cx-r-card" },
      el("h3", { text: strength ? `${titleOf(name)}, ${strength}` : titleOf(name) }),
      el("p", { text: signOf(name) }));
    if (boxes.length) {
      card.append(el("p", { class: "cx-small",
        title: "Area that both cover, as a share of the area that either covers (IoU)",
        text: `Overlap with the true boxes: you ${fit(boxes, final.boxes[name], "drew none")}` +
          (network ? `, network ${fit(boxes, network.boxes[name], "shows none")}.` : ".") }));
    }
    return card;
  });
  if (!cards.length) {
    cards.push(el("div", { class: "cx-r-card" }, el("h3", { text: "Nothing" }),
      el("p", { text: "No finding is on this picture." })));
  }
  const named = [...mine.findings, ...final.findings, ...(network?.named ?? [])];
  const absent = [...new Set(named)].filter((name) => !there(content).includes(name));
  if (absent.length) {
    cards.push(el("div", { class: "cx-r-card cx-r-absent" }, el("h3", { text: "Not there" }),
      ...absent.map((name) =>
        el("p", {}, el("b", { text: `${titleOf(name)} would be: ` }), signOf(name)))));
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

function mistakesText({ falseAlarms, misses }, lookedThrough) {
  const held = `Among the pictures that you read with the network were ${plural(falseAlarms, "case")} with ` +
    `a false alarm and ${misses} with a finding that it missed.`;
  if (!lookedThrough) return `${held} Nobody told you which.`;
  return `${held} More were not found: this network makes few such mistakes on the ` +
    `${lookedThrough} pictures that were looked through.`;
}

/** What the cases without the network say: whether the reader reads better after it. */
function changeText({ pairs, gained, lost, chance, least, enough }, { before, after }) {
  const said = `Without the network you were right in ${before.right} of ${pairs} before and in ${after.right} ` +
    `of ${pairs} after. `;
  if (!enough) {
    return `${said}That is too few to say anything about one reader: even if all ${pairs} had changed in one ` +
      `direction, chance alone does that in ${share(least)} of such readings. A class can show more.`;
  }
  return `${said}Of the matched pairs ${gained} changed to right and ${lost} to wrong. Chance alone does that or ` +
    `more in ${share(chance)} of such readings (sign test)${chance < 0.05 ? "." : ": it may be chance."}`;
}

/** The end of a session. titleOf: a finding's name; steps: those of sureness. */
export function readingFigures({ turns, looked_through: lookedThrough, more }, titleOf, steps) {
  const figures = figuresOf(turns);
  const { you, network, change } = figures;
  const big = ({ right, cases }, text) => el("div", {}, el("b", { text: `${right} of ${cases}` }),
    el("span", { text }));
  const row = (who, tally) => (tally.cases ? [[who, outOf(tally), `${tally.found} of ${tally.there}`, String(tally.wrong),
    tally.boxed ? `${overlap(tally.overlap)} (${tally.boxed})` : "–"]] : []);
  const cell = (names, right) => el("span", { class: right ? "cx-r-yes" : "cx-r-no" },
    el("b", { text: right ? "✓ " : "✗ " }), listed(names.map(titleOf)));
  const line = (turn, k) => {
    const { first, last, network: theirs } = outcome(turn);
    return [String(k + 1), ...(change ? [turn.round] : []), listed(there(turn).map(titleOf)),
      cell(turn.mine.findings, first), turn.final ? cell(turn.final.findings, last) : "–",
      cell(turn.network.named, theirs)];
  };
  const followed = figures.followed ? ` (${figures.followed} of them followed a network that was wrong)` : "";
  const left = figures.left ? ` You kept ${plural(figures.left, "wrong answer")} beside a network that was right.` : "";
  return [
    el("h2", { tabindex: "-1", text: `Your ${turns.length} cases` }),
    el("div", { class: "cx-r-big" }, ...(change ? [big(you.before, "right before, without the network")] : []),
      big(you.first, "right with it, at first"), big(you.last, "right with it, in the end"),
      ...(change ? [big(you.after, "right after, without the network")] : []),
      big(network.with, "the network alone")),
    ...(change ? [el("p", { text: changeText(change, you) })] : []),
    el("p", { text: `Beside the network you changed ${plural(figures.toRight, "answer")} to right and ` +
      `${figures.toWrong} to wrong${followed}.${left}` }),
    el("p", { text: mistakesText(figures.mistakes, lookedThrough) }),
    el("div", { class: "cx-cards" },
      table("Round by round", ["", "Right", "Findings found", "Named, not there", "Overlap of boxes"], [
        ...row("You, before", you.before), ...row("You, with it, at first", you.first),
        ...row("You, with it, in the end", you.last), ...row("You, after", you.after),
        ...row("Network, before", network.before), ...row("Network, with you", network.with),
        ...row("Network, after", network.after)]),
      table("How sure, and how often right", ["Step", "You", "Network"],
        figures.sure.map(({ mine, network: theirs }, k) => [steps[k], outOf(mine), outOf(theirs)]))),
    table("All cases", ["Case", ...(change ? ["Round"] : []), "Truth", "You, at first", "You, in the end", "Network"],
      turns.map(line)),
    el("p", { class: "cx-small", text: "A case is right when exactly the findings that are there " +
      (figures.scores
        ? "were named. The network names a finding whose score reaches its threshold. Nobody calibrated " +
          "it: its scores are no chances, so how sure it is cannot be said. "
        : "were named. The network names a finding from 50 % on, if it is over the finding's own " +
          "threshold. Its sureness is the chance that all its answers are right, if they were independent. ") +
      "Who is well calibrated is right in under half of the guesses and in over 80 % of the very " +
      `sure cases; ${turns.length} are too few to judge by. Overlaps are means over the findings (in brackets) that you drew boxes for.` }),
    el("p", { class: "cx-r-go" },
      ...(more ? [el("button", { type: "button", class: "cx-r-main", "data-do": "another", text: "Read other cases" })] : []),
      el("button", { type: "button", "data-do": "begin", text: "Begin again" })),
  ];
}
