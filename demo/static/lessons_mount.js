window.chexnet.teaching.connect((asked) => trigger('click', asked));
window.chexnet.mountLessons(element);
