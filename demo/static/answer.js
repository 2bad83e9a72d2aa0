watch('value', () => {
  if (!props.value) return;
  const {kind, content} = JSON.parse(props.value);
  const {page} = window.chexnet;
  if (kind === 'answer') page.show(content);
  if (kind === 'map') page.setMap(content.finding, content.method, content);
  if (kind === 'problem') page.showMethodError(content.text, content.id ?? undefined);
});
