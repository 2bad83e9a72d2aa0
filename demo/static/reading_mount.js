const { ask, fillWindow, mountReading } = window.chexnet;
window.chexnet.reading = mountReading(element, {
  send: (step) => ask('cx-reading', step, AbortSignal.timeout(20_000)), // then it may be tried again
});
fillWindow(element);
