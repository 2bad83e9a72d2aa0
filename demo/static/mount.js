const { choices } = window.chexnet;
window.chexnet.page = window.chexnet.mount(element, { onGate: choices.gate, onMethod: choices.method });
// It fills what the window leaves below the page's head, however high that is.
const fill = () => {
  const above = element.getBoundingClientRect().top + window.scrollY;
  if (above > 0) element.style.setProperty('--cx-above', `${Math.ceil(above) + 12}px`);
};
new ResizeObserver(fill).observe(document.body);
new IntersectionObserver(fill).observe(element);
fill();
