// The viewer asks the server for two things alone: to go on in spite of the gate, and for a heatmap
// method of the grad-cam package.
window.chexnet.page = window.chexnet.mount(element, {
  onGate: (action) => trigger('click', {action}),
  onMethod: (finding, method, id) => trigger('click', {action: 'method', finding, method, id}),
});
// It fills what the window leaves below the page's head, however high that is.
const fill = () => {
  const above = element.getBoundingClientRect().top + window.scrollY;
  if (above > 0) element.style.setProperty('--cx-above', `${Math.ceil(above) + 12}px`);
};
new ResizeObserver(fill).observe(document.body);
new IntersectionObserver(fill).observe(element);
fill();
