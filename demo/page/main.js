// Puts the page together. What it exports is for the tests: nothing of the page is a global.

import { fillWindow } from "./base/dom.js";
import { mountReading } from "./reading/reading.js";
import { mountLessons } from "./teaching/lessons.js";
import { mountThresholds } from "./teaching/thresholds.js";
import { makeChoices } from "./viewer/choices.js";
import { mount } from "./viewer/viewer.js";

/** @type {typeof import("./source/server.js")} */
const source = await import(document.documentElement.dataset.source);
const at = (id) => document.getElementById(id);
const PAGE = crypto.getRandomValues(new Uint32Array(4)).join("-");

/** The tabs as ARIA's pattern has them: arrows move between them. */
function mountTabs(list) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const open = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      at(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
  };
  list.addEventListener("click", ({ target }) => { if (tabs.includes(target)) open(target); });
  list.addEventListener("keydown", ({ key, target }) => {
    const to = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!to) return;
    const next = tabs.at((tabs.indexOf(target) + to) % tabs.length);
    open(next);
    next.focus();
  });
}

at("cx-empty").remove();
mountTabs(at("cx-tabs"));

let choices = null;
export const page = mount(at("cx-viewer"), {
  onGate: (how) => choices.onGate(how),
  onMethod: (...wanted) => choices.method(...wanted),
});
const { most, opening } = at("cx-start").dataset;
choices = makeChoices(page, source, Number(most));

/** The answer to the visitor's own picture on the tab Radiograph, where it is open; else null. */
const own = () => (page.state.answer?.gate.open ? page.state.answer : null);

export const reading = mountReading(at("cx-reading"), {
  // After so many milliseconds it may be tried again.
  send: (step) => source.step({ ...step, page: PAGE }, AbortSignal.timeout(20_000)),
});
mountThresholds(at("cx-thresholds"),
  { load: () => source.part("thresholds"), faint: () => source.part("severity"), own });
mountLessons(at("cx-lessons"), { ...source, ...choices, own });
fillWindow(at("cx-viewer"));
fillWindow(at("cx-reading"));
choices.opening(opening);
source.present(choices.loading);
