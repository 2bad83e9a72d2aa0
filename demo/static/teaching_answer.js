watch('value', () => {
  if (props.value) window.chexnet.teaching.receive(JSON.parse(props.value));
});
