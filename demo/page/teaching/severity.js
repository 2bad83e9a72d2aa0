// How faint a drawn finding can be and still be named: curves with their intervals, for students and lecturer.

import { el, svg } from "../base/dom.js";
import { share } from "../base/words.js";

const WIDE = 420, HIGH = 150, LEFT = 46;

/** curves: [{name, colour, points}], points as naming_curve of demo/classroom/severity.py gives them. */
export function drawSeverity(place, curves) {
  // What was not drawn stands left of the scale of severity, in a place of its own.
  const x = ({ from, to }) => LEFT + (to ? 0.2 + 0.8 * (from + to) / 2 : 0.08) * WIDE, y = (chance) => 10 + HIGH * (1 - chance);
  const text = ({ from, to }) => (to ? `severity ${from} to ${to}` : "not drawn");
  const image = svg("svg", { viewBox: `0 0 ${LEFT + WIDE + 6} ${HIGH + 48}`, role: "img", "font-size": 12, fill: "currentColor",
    "aria-label": curves.map(({ name, points }) => `${name}: ${points.map((point) =>
      `${text(point)}, ${share(point.chance)} (${share(point.interval[0])} to ${share(point.interval[1])}) of ${point.findings}`).join("; ")}`).join(". ") });
  for (const tick of [0, 0.5, 1]) {
    image.append(svg("line", { stroke: "currentColor", "stroke-opacity": 0.25, x1: LEFT, x2: LEFT + WIDE, y1: y(tick), y2: y(tick) }),
      svg("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end", text: share(tick) }));
  }
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    image.append(svg("text", { x: x({ from: tick, to: tick || 1e-9 }), y: HIGH + 26, "text-anchor": "middle", text: tick }));
  }
  image.append(svg("text", { x: x({ from: 0, to: 0 }), y: HIGH + 26, "text-anchor": "middle", text: "not drawn" }),
    svg("text", { x: LEFT + 0.6 * WIDE, y: HIGH + 42, "text-anchor": "middle", text: "severity: 0 barely visible, 1 plain" }));
  curves.forEach(({ colour, points }, k) => {
    const at = (point) => x(point) + 7 * k; // beside each other
    const line = points.filter((point) => point.to).map((point) => `${at(point)},${y(point.chance)}`).join(" ");
    image.append(svg("polyline", { points: line, fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": k ? "5 4" : null }));
    for (const point of points) {
      const dot = svg("circle", { cx: at(point), cy: y(point.chance), r: 4.5, fill: colour });
      dot.append(svg("title", { text: `${text(point)}: ${share(point.chance)} of ${point.findings}` }));
      image.append(svg("line", { stroke: colour, "stroke-width": 2, x1: at(point), x2: at(point), y1: y(point.interval[0]), y2: y(point.interval[1]) }), dot);
    }
  });
  const key = (/** @type {any} */ { name, colour }, k) => svg("text", { x: LEFT + 4, y: 24 + 16 * k, fill: colour, "font-weight": 650, text: `${k ? "╌" : "●"} ${name}` });
  image.append(...(curves.length > 1 ? curves.map(key) : []));
  place.replaceChildren(image);
}

/** The place in the tab Thresholds: drawn when it is first opened. */
export function mountSeverity(root, load) {
  const [wait, place] = [root.querySelector("[role=status]"), root.querySelector("[data-part=severity-curve]")];
  root.addEventListener("toggle", async () => {
    if (!root.open || place.firstChild) return;
    try {
      const { network, pictures } = await load();
      drawSeverity(place, [{ name: "network", colour: "#0f8a7e", points: network }]);
      wait.replaceChildren(el("span", { text: `Of ${pictures} drawn chests, all findings together.` }));
    } catch (error) {
      wait.textContent = error.message;
    }
  });
}
