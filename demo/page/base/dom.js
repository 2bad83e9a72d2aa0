// Small parts of the page that every tab uses.

/** An element: el("p", {class: "a", text: "b"}, child). Text is never read as HTML. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** The colour maps of chexnet/colormaps.json, which stand in the page. */
export const colourTables = () =>
  JSON.parse(/** @type {HTMLTemplateElement} */ (document.querySelector("template[data-tables]")).content.textContent);

/** Call `then` whenever an element comes into sight. */
export function whenSeen(element, then) {
  new IntersectionObserver((seen) => {
    if (seen.some((one) => one.isIntersecting)) then();
  }).observe(element);
}

/** Draw again whenever an element's width changes: then(width). */
export function whenWide(element, then) {
  let before = 0;
  new ResizeObserver(() => {
    const width = Math.round(element.clientWidth);
    if (!width || width === before) return;
    before = width;
    then(width);
  }).observe(element);
}

/** An element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http:/" + "/www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Radio buttons that look like one control: choices is a list of [value, text]. */
export function radios(place, name, choices, chosen, then) {
  place.replaceChildren(...choices.map(([value, text]) => {
    const input = el("input", { type: "radio", name, value });
    input.checked = value === chosen;
    input.addEventListener("change", () => then(value));
    const label = el("label");
    label.append(input, el("span", { text }));
    return label;
  }));
}

/** Let an element fill what the window leaves below the page's head, however high that is. */
export function fillWindow(element) {
  const fill = () => {
    const above = element.getBoundingClientRect().top + window.scrollY;
    if (above > 0) element.style.setProperty("--cx-above", `${Math.ceil(above) + 12}px`);
  };
  new ResizeObserver(fill).observe(document.body);
  new IntersectionObserver(fill).observe(element);
  fill();
}
