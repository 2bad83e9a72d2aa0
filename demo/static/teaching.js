/* What the tabs "Thresholds" and "Lessons" share: content that the server computes once, and small
   parts of both. A part is asked for when it is first looked at; moving a control asks nothing. */
(() => {
  "use strict";
  const cx = (window.chexnet ??= {});
  const { el } = cx;

  const parts = new Map(); // key to a promise of the content

  /** Content of a part, for example get("patient", "1"): a promise, of the first answer. */
  function get(part, of = "") {
    const key = `${part} ${of}`;
    if (!parts.has(key)) {
      const mine = cx.ask("cx-lessons", { part, of }).then(({ kind, content }) => {
        if (kind !== "content") throw new Error(content);
        return content;
      });
      parts.set(key, mine);
      mine.catch(() => parts.delete(key)); // the next look may try again
    }
    return parts.get(key);
  }

  /** Call `then` whenever an element comes into sight. */
  function whenSeen(element, then) {
    new IntersectionObserver((seen) => {
      if (seen.some((one) => one.isIntersecting)) then();
    }).observe(element);
  }

  /** Draw again whenever an element's width changes: then(width). */
  function whenWide(element, then) {
    let before = 0;
    new ResizeObserver(() => {
      const width = Math.round(element.clientWidth);
      if (width && width !== before) then((before = width));
    }).observe(element);
  }

  /** An element of SVG. */
  function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS("http:/" + "/www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") element.textContent = value;
      else if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  /** Radio buttons that look like one control: choices is a list of [value, text]. */
  function radios(place, name, choices, chosen, then) {
    place.replaceChildren(...choices.map(([value, text]) => {
      const input = el("input", { type: "radio", name, value });
      input.checked = value === chosen;
      input.addEventListener("change", () => then(value));
      const label = el("label");
      label.append(input, el("span", { text }));
      return label;
    }));
  }

  /** The visitor's own answer on the tab Radiograph, where it is open; else null. */
  function ownAnswer() {
    const answer = cx.page?.state.answer;
    return answer?.gate.open ? answer : null;
  }

  const logit = (p) => Math.log(p / (1 - p));
  const expit = (z) => 1 / (1 + Math.exp(-z));

  /** A share for people: `0.4 %`, `28 %`, `n/a`; exact 0 and 1 stay so. */
  function share(value) {
    if (value === null || Number.isNaN(value)) return "n/a";
    const shown = 100 * value;
    if (shown === 0 || shown === 100) return `${shown} %`;
    if (shown < 0.1) return "< 0.1 %";
    if (shown > 99.9) return "> 99.9 %";
    return `${shown < 10 || shown > 99 ? shown.toFixed(1) : Math.round(shown)} %`;
  }

  /** A value of the network for people: a score is no share of anything. */
  const valueOf = (answer, value) => (answer.calibrated === false ? cx.valueText(answer, value) : share(value));

  Object.assign(cx, {
    teaching: { get, whenSeen, whenWide, radios, ownAnswer },
    svg, logit, expit, share, valueOf,
  });
})();
