window.chexnet.reading = window.chexnet.mountReading(element, {
  send: (step) => window.chexnet.ask('cx-reading', step),
});
// A case fills what the window leaves below the page's head, however high that is.
const fill = () => {
  const above = element.getBoundingClientRect().top + window.scrollY;
  if (above > 0) element.style.setProperty('--cx-r-above', `${Math.ceil(above) + 12}px`);
};
new ResizeObserver(fill).observe(document.body);
new IntersectionObserver(fill).observe(element);
fill();
