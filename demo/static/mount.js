const { choices, fillWindow, mount } = window.chexnet;
window.chexnet.page = mount(element, { onGate: choices.gate, onMethod: choices.method });
fillWindow(element);
choices.opening();
