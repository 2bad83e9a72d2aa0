window.chexnet.mountThresholds(element);
