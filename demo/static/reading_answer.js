watch('value', () => {
  if (props.value) window.chexnet.reading.receive(JSON.parse(props.value));
});
