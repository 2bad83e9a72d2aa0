// The picture of a case: the viewer's canvas and stage, with boxes over it.

import { colourTables } from "../base/dom.js";
import { makeBoxes } from "./boxes.js";
import {
  decodePreview, gradient, heatSteps, lookup, render, windowTable, windowed,
} from "../viewer/drawing.js";
import { heatOf } from "../viewer/heat.js";
import { makeStage } from "../viewer/stage.js";

const OPACITY = 0.5;

/** root: holds reading.html.jinja; on: see makeBoxes. */
export function makeBoard(root, on) {
  const find = (selector) => root.querySelector(selector);
  const part = (name) => find(`[data-r="${name}"]`);
  const canvas = find("canvas");
  const context = canvas.getContext("2d", { alpha: false });
  const tables = colourTables();
  const colours = Object.values(tables.one_sided)[0];
  const table = lookup(colours, OPACITY);
  let pixels = null, bits = 8, invert = false, hand = false, turn = 0;
  let network = null, finding = null; // whose map is shown

  const stage = makeStage(
    { stage: find(".cx-r-stage"), layer: find(".cx-layer"), canvas, handle: find(".cx-handle") },
    {
      moved: ({ zoom }) => { part("zoom").textContent = `${Math.round(100 * zoom)} %`; },
      hide() {}, split() {},
    },
  );
  const boxes = makeBoxes({ layer: part("boxes"), canvas }, on);
  part("gradient").style.background = gradient(colours, OPACITY);

  function draw() {
    if (!pixels || !context) return;
    const { width, height } = canvas;
    const gray = windowed(pixels, windowTable(bits, 0.5, 1, invert));
    let steps = null;
    if (finding) {
      const settings = { finding, method: network.methods[0], scale: "absolute" };
      const { heat, top } = heatOf(network, new Map(), settings);
      steps = heatSteps(heat, network.crop.box, height, width, top, false);
    }
    context.putImageData(render({ gray, steps, table, width, height }), 0, 0);
  }

  /** Show a case's picture. Resolves when it is drawn. */
  async function show(preview) {
    const mine = ++turn;
    network = finding = null;
    const decoded = await decodePreview({ preview });
    if (mine !== turn) return; // another case came meanwhile
    ({ pixels, bits } = decoded);
    [canvas.width, canvas.height] = [preview.width, preview.height];
    invert = false;
    reflect();
    stage.picture(preview.width, preview.height);
    draw();
  }

  /** Show the network's map of a finding, or with null none. */
  function heat(answer, name) {
    network = answer;
    finding = name;
    draw();
  }

  const reflect = () => {
    find('[data-tool="invert"]').setAttribute("aria-pressed", String(invert));
    find('[data-tool="hand"]').setAttribute("aria-pressed", String(hand));
  };
  const tools = {
    in: () => stage.zoomBy(1.25),
    out: () => stage.zoomBy(0.8),
    fit: () => stage.fit(),
    invert() { invert = !invert; reflect(); draw(); },
    hand() { hand = !hand; reflect(); boxes.set({ hand }); },
  };
  root.addEventListener("click", (event) => {
    tools[event.target.closest("button")?.dataset.tool]?.();
  });

  return { show, heat, boxes, stage };
}
