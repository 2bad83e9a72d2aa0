() => {
  document.addEventListener('paste', (event) => {
    const file = [...(event.clipboardData?.files || [])][0];
    const input = document.querySelector('#cx-upload input[type=file]');
    if (!file || !input) return;
    event.preventDefault();
    const given = new DataTransfer();
    given.items.add(file);
    input.files = given.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
  });
}
