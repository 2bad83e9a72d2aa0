// The lecturer's panel: asks for everything every two seconds and shows it.

import { el } from "../base/dom.js";
import { drawSeverity } from "../teaching/severity.js";

const EVERY = 2000; // milliseconds
/** @returns {any} */
const part = (name) => document.querySelector(`[data-l="${name}"]`);

const shown = {}; // what stands in each part, so that only a change is drawn
function fill(name, key, make) {
  const text = JSON.stringify(key);
  if (shown[name] === text) return;
  shown[name] = text;
  part(name).replaceChildren(...make());
}

const address = ({ name, url, qr }) => el("figure", {},
  el("figcaption", {}, `${name}: `, el("code", { text: url })),
  ...(qr ? [el("img", { src: qr, alt: `QR code of ${url}` })] : []));

// Rounds, and before or after the network was seen, as they are told and as people read them.
const MOMENTS = {
  "before before": "before", "with before": "with the network, at first",
  "with after": "with the network, in the end", "after before": "after",
};
const momentOf = ({ round, when }) => `${round} ${when}`;

function bar(title, name, row, truth) {
  const pair = (moment) => {
    const count = moment.named[name] ?? 0, width = `${100 * count / moment.answers}%`;
    const line = el("i", { class: momentOf(moment) });
    line.style.width = width;
    return el("div", { class: "pair" }, line, el("small", { text: `${count} of ${moment.answers}` }));
  };
  const there = truth && (row.findings.length ? row.findings.includes(name) : name === "No Finding");
  return el("div", { class: there ? "bar there" : "bar" },
    el("span", { text: there ? `✓ ${title}` : title }), el("div", {}, ...row.told.map(pair)));
}

function caseCard(row, titles, truth) {
  const card = el("div", { class: "case" },
    el("img", { src: `lecturer/picture/${row.number}`, alt: `Picture of case ${row.number}`, loading: "lazy" }),
    el("h3", { text: `Case ${row.number}` }));
  const names = Object.keys(titles).filter((name) =>
    row.told.some(({ named }) => named[name]) || (truth && row.findings.includes(name)));
  if (!row.told.length) card.append(el("p", { text: "Too few answers yet." }));
  else {
    if (truth) {
      const listed = (some) => some.map((name) => titles[name]).join(", ") || "nothing";
      card.append(el("p", { text: `There: ${listed(row.findings)}. The network: ${listed(row.network)}. ` +
        `All right: ${row.told.map((moment) =>
          `${moment.right} of ${moment.answers} ${MOMENTS[momentOf(moment)]}`).join(", ")}.` }));
    }
    card.append(el("div", { class: "bars" }, ...names.map((name) => bar(titles[name], name, row, truth))));
  }
  return card;
}

/** How many followed the network where it was wrong, and how many stayed wrong where it was right. */
function followed(rows) {
  const sums = { followed: 0, couldFollow: 0, left: 0, couldLeave: 0 };
  for (const moment of rows.flatMap((row) => row.told)) {
    sums.followed += moment.followed ?? 0;
    sums.left += moment.left ?? 0;
    if (moment.followed !== null) sums.couldFollow += moment.right_before;
    if (moment.left !== null) sums.couldLeave += moment.answers - moment.right_before;
  }
  return `Where the network was wrong, ${sums.followed} of ${sums.couldFollow} right answers were changed to wrong ` +
    `ones. Where it was right, ${sums.left} of ${sums.couldLeave} wrong answers stayed wrong.`;
}

// The mean share of right cases at each moment, over the readers who are done, with its interval.
function learning(means) {
  const points = (value) => `${value < 0 ? "−" : ""}${Math.round(Math.abs(100 * value))}`;
  const between = ({ low, high }) => (low === null ? "" : ` (${points(low)} to ${points(high)})`);
  const bars = Object.keys(MOMENTS).flatMap((moment) => {
    const share = means.find(({ name }) => name === moment);
    if (!share) return [];
    const line = el("i", { class: moment }), whisker = el("i", { class: "interval" });
    line.style.width = `${100 * share.mean}%`;
    whisker.style.marginLeft = `${100 * (share.low ?? share.mean)}%`;
    whisker.style.width = `${100 * ((share.high ?? share.mean) - (share.low ?? share.mean))}%`;
    return [el("div", { class: "bar" }, el("span", { text: MOMENTS[moment] }), el("div", { class: "pair" },
      el("div", {}, line, whisker), el("small", { text: `${points(share.mean)} %${between(share)}` })))];
  });
  const change = means.find(({ name }) => name === "change");
  return [el("h3", { text: `Right cases of the ${means[0].readers} who are done` }), el("div", { class: "bars" }, ...bars),
    ...(change ? [el("p", { text: `From before to after: ${points(change.mean)} points${between(change)}.` })] : [])];
}

/** How faint a finding the class still names before it sees the network, and the network on the same pictures. */
function severity({ class: people, network }) {
  if (!people.length) return [];
  const place = el("div");
  drawSeverity(place, [{ name: "class, before it saw the network", colour: "#d9660f", points: people },
    { name: "network", colour: "#0f8a7e", points: network }]);
  return [el("h3", { text: "How faint can it be?" }), place,
    el("p", { text: "Chance that a finding is named, by how strongly it was drawn; 95 % intervals after Wilson, over findings." })];
}

function show(state) {
  const { addresses, link, login, rows, titles, fewest } = state;
  const truth = part("truth").checked;
  fill("addresses", addresses, () => addresses.map(address));
  fill("login-is", login, () => login
    ? ["Name ", el("code", { text: login.user }), ", password ", el("code", { text: login.password })]
    : ["No password: only this machine reaches the page."]);
  fill("link", link, () => [!link ? ""
    : link.since ? `Public link since ${link.since}` + (link.opened > 1
      ? `: number ${link.opened}. Who came by an earlier one opens this one; the password is the same.` : ".")
      : `No public link. ${link.problem} It is tried again by itself.`]);
  part("connected").textContent = state.connected;
  part("reading").textContent = state.reading;
  part("few").textContent = state.problem || (rows.length
    ? `Answers to a case are shown in steps of ${fewest}, without names` +
      (state.file ? ", and written to the file that was asked for." : ". They are in memory only.")
    : "Nobody has begun to read yet.");
  fill("learning", state.learning, () => (state.learning.length ? learning(state.learning) : []));
  const networkSeen = rows.some((row) => row.told.some((moment) => moment.right_before !== null));
  fill("severity", [state.severity, truth], () => severity(truth ? state.severity : { class: [] }));
  part("followed").textContent = truth && networkSeen ? followed(rows) : "";
  // Each case for itself: pictures are not fetched again for every answer.
  const cases = part("cases");
  rows.forEach((row, k) => {
    const text = JSON.stringify([row, truth]);
    if (cases.children[k]?.getAttribute("data-key") === text) return;
    const card = caseCard(row, titles, truth);
    card.dataset.key = text;
    const old = cases.children[k]?.querySelector("img");
    if (old) card.querySelector("img").replaceWith(old);
    if (cases.children[k]) cases.children[k].replaceWith(card);
    else cases.append(card);
  });
}

let last = null, timer = 0;
async function ask() {
  clearTimeout(timer);
  try {
    const answer = await fetch("lecturer/state", { cache: "no-store" });
    const refused = answer.status === 401 || answer.status === 403;
    part("login").hidden = !refused;
    part("panel").hidden = refused;
    problem(answer.status === 403 ? "This browser is logged in as the class." : "");
    if (refused) return;
    last = await answer.json();
    show(last);
  } catch {
    problem("The demo does not answer. This page asks again by itself.");
  }
  timer = setTimeout(ask, EVERY);
}

function problem(text) {
  part("problem").textContent = text;
  part("problem").hidden = !text;
}

part("truth").addEventListener("change", () => last && show(last));
part("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("login", { method: "POST", body: new URLSearchParams(/** @type {any} */ (new FormData(part("login")))) });
  if (answer.ok) return ask();
  return problem("That is not the password.");
});
ask();
