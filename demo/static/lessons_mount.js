window.chexnet.mountLessons(element);
