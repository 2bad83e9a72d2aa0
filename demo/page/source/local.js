/* The browser itself as the page's source of answers: an exported folder, and no server.

   What does not depend on a visitor's picture lies in files under `parts/`. */

import { analyse, prepare } from "./local_analysis.js";
import { makeSteps } from "./local_reading.js";
import { reporting } from "./scorm.js";
import { ask, remembering } from "./server.js";

export { analyse };

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
  await prepare({ onProgress });
  // After the large files: those then come from what the browser has of them already.
  const { offline } = document.documentElement.dataset;
  if (offline) await navigator.serviceWorker?.register(offline, { updateViaCache: "none" });
}
