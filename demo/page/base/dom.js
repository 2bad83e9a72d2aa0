// Small parts of the page that every tab uses.

/** An element: el("p", {class: "a", text: "b"}, child). Text is never read as HTML. */
export const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

/** An element of SVG. */
export const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS("http:/" + "/www.w3.org/2000/svg", tag), attributes, children);

function filled(element, attributes, children) {
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
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) then();
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

/**
 * A text that a browser keeps under a name, where it keeps any; a page without storage goes on without.
 * storage: gives the browser's, of a tab or of all; asking for it may throw.
 */
export const stored = (storage, key) => ({
  get() { try { return storage().getItem(key); } catch { return null; } },
  set(value) { try { storage().setItem(key, value); } catch { /* none */ } },
  drop() { try { storage().removeItem(key); } catch { /* none */ } },
});

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
