// The server is asked by one event; its answer comes to reading_answer.js.
window.chexnet.reading = window.chexnet.mountReading(element, {
  send: (step) => trigger('click', step),
});
