() => {
  // A picture that is pasted or dropped anywhere goes to the upload.
  const give = (file) => {
    const input = document.querySelector('#cx-upload input[type=file]');
    if (!file || !input) return false;
    const given = new DataTransfer();
    given.items.add(file);
    input.files = given.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
    return true;
  };
  document.addEventListener('paste', (event) => {
    if (give([...(event.clipboardData?.files || [])][0])) event.preventDefault();
  });
  // Without this the browser would leave the page and open the file that was dropped.
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    if (event.target.closest?.('#cx-upload')) return; // Gradio's own zone takes it
    event.preventDefault();
    give([...(event.dataTransfer?.files || [])][0]);
  });
}
