/* "Read it yourself": one reader's way through the cases.

   The source keeps where the reader is and what he may see; the page only shows it. What is not yet
   open was never sent here. The steps and what they give: ../source/answer.js. */

import { stored } from "../base/dom.js";
import { valueText } from "../base/words.js";
import { makeBoard } from "./board.js";
import { makeForm } from "./form.js";
import { there } from "./figures.js";
import { readingFigures, readingTruth, readingVerdict } from "./result.js";
import { floatsOf } from "../viewer/drawing.js";

// In this tab's own storage: another tab is another reader.
const storage = stored(() => sessionStorage, "cx-reader");
const name = stored(() => localStorage, "cx-pseudonym");

/** The name under which a study keeps this browser's answers, and by which they can be deleted. */
function pseudonym() {
  if (!name.get()) name.set(crypto.getRandomValues(new Uint32Array(4)).join("-"));
  return name.get(); // null without storage: a page could never delete them
}

/** root: holds reading.html.jinja; hooks: {send(step)}, which gives a promise of the answer. */
export function mountReading(root, hooks) {
  const part = (name) => root.querySelector(`[data-r="${name}"]`);
  const shell = root.querySelector(".cx-reading");
  const show = part("show");
  const go = root.querySelector('[data-do="go"]');
  let reader = storage.get(), now = null, map = null;
  let waiting = false, timer = 0;
  let astray = false; // a step was refused, and where the reader is was asked for

  const board = makeBoard(root, {
    changed: () => { form.drawActive(); reflect(); },
    removed: () => part("active").querySelector("[data-do=box]")?.focus(),
    title: (name) => form.titleOf(name),
  });
  const form = makeForm(root, board.boxes, { changed: () => reflect(), map: (name) => choose(name) });

  const study = root.querySelector('[data-do="forget"]');

  /** Ask the server for a step; one at a time. */
  async function send(action, more = {}) {
    if (waiting) return;
    waiting = true;
    clearTimeout(timer);
    reflect();
    const mine = study ? { pseudonym: pseudonym() } : {};
    const answer = await hooks.send({ action, reader, ...mine, ...more }).catch((error) => ({ error }));
    waiting = false;
    if (!answer.error) return receive(answer);
    problem(answer.error.message);
    return reflect();
  }

  /** An answer of the server. */
  function receive(content) {
    if (content.problem) return refused(content.problem);
    if ("forgotten" in content) {
      part("forgotten").textContent = `${content.forgotten} answers were deleted.`;
      forget();
      return reflect();
    }
    if (content.stage === "wait") {
      const { ready, of } = content;
      part("wait").textContent = `The pictures are being prepared: ${ready} of ${of} …`;
      timer = setTimeout(() => send("begin"), 700);
      return;
    }
    part("wait").textContent = "";
    if (content.reader) {
      reader = content.reader;
      storage.set(reader);
    }
    return apply(content);
  }

  // A page that went astray asks where it is; one whose reader is gone begins again.
  function refused(text) {
    problem(text);
    if (now?.stage === "done") return reflect();
    if (astray || !reader) {
      astray = false;
      forget();
      return reflect();
    }
    astray = true;
    return send("resume");
  }

  function forget() {
    reader = now = null;
    storage.drop();
    stageIs("intro");
  }

  function problem(text = "") {
    part("problem").textContent = text;
    part("problem").hidden = !text;
    if (text) part("problem").scrollIntoView({ block: "nearest" });
  }

  function stageIs(stage) {
    shell.dataset.stage = stage;
    part("intro").hidden = stage !== "intro";
    part("done").hidden = stage !== "done";
    part("work").hidden = ["intro", "done"].includes(stage);
  }

  /** Show what the server says is open now. */
  async function apply(content) {
    if (!astray) problem();
    astray = false;
    const same = now && now.case === content.case && now.stage === content.stage;
    const newCase = now?.case !== content.case;
    if (same && content.stage !== "done") return reflect(); // what was ticked stays
    now = content;
    stageIs(content.stage);
    if (content.stage === "done") {
      part("done").replaceChildren(...readingFigures(content, form.titleOf, form.steps));
      part("done").querySelector("h2").focus();
      return reflect();
    }
    const { network, truth, mine, final } = content;
    if (network) network.maps = floatsOf(network.contributions);
    const alone = content.round !== "with";
    part("title").textContent = `Case ${content.number} of ${content.of}`;
    part("question").textContent = content.stage === "read" ? "What do you see?"
      : content.stage === "revise" ? "Keep your answer, or change it once." : "What was there";
    part("alone").hidden = !alone;
    part("steps").hidden = alone;
    for (const step of root.querySelectorAll("[data-step], [data-round]")) {
      if ([content.stage, content.round].includes(step.dataset.step ?? step.dataset.round)) {
        step.setAttribute("aria-current", "step");
      } else step.removeAttribute("aria-current");
    }
    form.fill(final ?? mine ?? null, !truth);
    form.showNetwork(network ?? null);
    form.showTruth(truth ?? null);
    part("draw").hidden = Boolean(truth) || part("draw").hidden;
    part("sure").hidden = Boolean(truth);
    show.hidden = !network && !truth;
    for (const label of show.querySelectorAll("[data-layer]")) {
      const name = label.dataset.layer;
      label.hidden = { truth: !truth, box: !truth || !content.heat, heat: !content.heat }[name] ?? false;
      label.querySelector("input").checked = name !== "heat" || !truth;
    }
    part("verdict").replaceChildren(...(truth ? [readingVerdict(content, form.titleOf)] : []));
    part("truth").replaceChildren(...(truth ? readingTruth(content, form.titleOf, form.signOf) : []));
    if (newCase || content.preview) await board.show(content.preview);
    if (now !== content) return;
    choose(firstMap(content));
    root.querySelector(".cx-r-right").scrollTop = 0;
    part("title").focus({ preventScroll: true });
    if (newCase) root.scrollIntoView({ block: "start" });
    reflect();
  }

  // The finding whose map is shown first: what is there, else what the network thinks most likely.
  function firstMap({ network, truth }) {
    if (!network) return null;
    const { findings, probability } = network;
    const shown = truth && there({ truth }).find((name) => findings.includes(name));
    return shown ?? [...findings].sort((a, b) => probability[b] - probability[a])[0] ?? null;
  }

  /** Show another finding's map and boxes. */
  function choose(name) {
    map = name;
    form.showMap(name);
    layers();
  }

  // What lies over the picture, as the boxes under it are ticked.
  function layers() {
    if (!now?.case) return;
    const { network, truth } = now;
    const on = (name) => show.querySelector(`input[value=${name}]`).checked;
    const heat = now.heat && on("heat") ? map : null;
    const others = [];
    if (truth && on("truth")) {
      for (const { name, boxes } of truth.findings) {
        others.push(...boxes.map((box) => ({ kind: "truth", title: form.titleOf(name), box })));
      }
    }
    // Of what it names as well as of what is there: where a false alarm comes from.
    if (truth && now.heat && on("box") && [...network.named, ...there(now)].includes(map)) {
      others.push(...(network.boxes[map] ?? []).map((box) => ({ kind: "network", title: "network", box })));
    }
    board.boxes.set({ others, mine: show.hidden || on("mine") });
    board.heat(network, heat);
    const chip = part("chip");
    chip.hidden = !heat;
    part("scale").hidden = !heat;
    chip.textContent = heat
      ? `Heatmap: ${form.titleOf(map)} ${valueText(network, network.probability[map])}` : "";
    part("trust").textContent = now.heat ? `Heatmaps of ${form.titleOf(map)}: ` +
      (network.trust[map] ?? "how often they hit the right place was never measured.") : "";
  }
  show.addEventListener("change", layers);

  // What the main button does now, and whether it may.
  function reflect() {
    root.setAttribute("aria-busy", String(waiting));
    for (const button of root.querySelectorAll('[data-do="begin"], [data-do="another"]')) {
      button.disabled = waiting;
    }
    if (!now || now.stage === "done") return;
    const reply = form.reply();
    const complete = (reply.nothing || reply.findings.length > 0) && reply.sure !== null;
    go.disabled = waiting || (now.stage !== "truth" && !complete);
    const last = now.number === now.of;
    go.textContent = {
      read: now.round === "after" && last ? "Commit, and see my figures" : "Commit my answer",
      revise: now.mine && changed(reply) ? "Change my answer" : "Keep my answer",
      truth: last ? "See my figures" : "Next case",
    }[now.stage];
    part("hint").textContent = complete || now.stage === "truth" ? ""
      : reply.nothing || reply.findings.length ? "Say how sure you are." : "Tick what you see, or “Nothing”.";
  }

  const changed = (reply) => JSON.stringify([reply.findings, reply.sure, reply.boxes]) !==
    JSON.stringify([now.mine.findings, now.mine.sure, now.mine.boxes]);

  root.addEventListener("click", (event) => {
    const does = event.target.closest("[data-do]")?.dataset.do;
    if (["begin", "another", "forget"].includes(does)) send(does);
    if (does !== "go" || go.disabled) return;
    const step = { read: "commit", revise: "settle", truth: "next" }[now.stage];
    send(step, { case: now.case, ...(step === "next" ? {} : { answer: form.reply() }) });
  });

  stageIs("intro");
  if (reader) send("resume");
  return { receive, get now() { return now; }, get waiting() { return waiting; }, board, form };
}

