/* The browser itself as the page's source of answers: an exported folder, and no server.

   What does not depend on a visitor's picture lies in files under `parts/`. */

import { analyse as answer, prepare } from "./local_analysis.js";
import { makeSteps } from "./local_reading.js";
import { reporting } from "./scorm.js";
import { ask, remembering } from "./server.js";

const WAIT = 10_000; // milliseconds for a service worker that may never come
let kept = Promise.resolve();

/** See `analyse` of server.js. */
export async function analyse(file, how) {
  await kept;
  return answer(file, how);
}

/** See `part` of server.js. */
export const part = remembering((name) => ask(`parts/${name}.json`));

/** See `step` of server.js. */
export const step = makeSteps(part, reporting());

/** Never offered: an answer's `methods` hold the exact one alone. */
export const heat = async () => {
  throw new Error("The other heatmap methods need the demo's server.");
};

/** Fetch what answers; onProgress: see `prepare`. */
export async function present(onProgress) {
  kept = keep(document.documentElement.dataset.offline);
  await kept;
  await prepare({ onProgress });
}

/** Let a service worker keep what is fetched from now on, where the browser allows it. */
async function keep(script) {
  const { serviceWorker } = navigator;
  if (!script || !serviceWorker) return;
  const there = new Promise((done) => {
    serviceWorker.addEventListener("controllerchange", done, { once: true });
    setTimeout(done, WAIT);
  });
  try {
    const registration = await serviceWorker.register(script, { updateViaCache: "none" });
    if (registration && !registration.active) await there;
  } catch { /* the page does without */ }
}
