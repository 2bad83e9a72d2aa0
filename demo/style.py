"""Theme, style and the few lines of script. No font and no file of another host."""

from functools import cache
from pathlib import Path

import gradio as gr

_FOLDER = Path(__file__).parent
CSS = (_FOLDER / "page.css").read_text(encoding="utf-8")
HEAD = """<style>
.gradio-container { --cx-soft: color-mix(in srgb, var(--body-text-color) 75%, transparent); }
.gradio-container > .main.app { max-width: 1440px; margin: 0 auto; }
@media (max-width: 700px) { .gradio-container > .main.app { padding: .6rem !important; } }
</style>"""

BARS_JS = """
element.addEventListener('click', (event) => {
  const bar = event.target.closest('button[data-finding]');
  if (!bar) return;
  element.querySelectorAll('button[data-finding]').forEach((other) =>
    other.setAttribute('aria-pressed', other === bar));
  trigger('click', {finding: bar.dataset.finding});
});
// The bars are drawn anew after each choice: the keyboard's focus stays where it was.
let focused = null;
element.addEventListener('focusin', (event) => {
  const bar = event.target.closest('button[data-finding]');
  if (bar) focused = bar.dataset.finding;
});
element.addEventListener('pointerdown', () => { focused = null; });
watch('value', () => {
  if (!focused || document.activeElement !== document.body) return;
  element.querySelector(`button[data-finding="${focused}"]`)?.focus();
});
"""
GATE_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (button) trigger('click', {act: button.dataset.act});
});
"""
EXAMPLE_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-example]');
  if (button) trigger('click', {example: button.dataset.example});
});
"""
DOWNLOAD_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-kind]');
  if (button) trigger('click', {kind: button.dataset.kind});
});
"""
DELIVERY_JS = """
watch('value', () => {
  if (!props.value) return;
  const file = JSON.parse(props.value);
  const bytes = Uint8Array.from(atob(file.data), (letter) => letter.charCodeAt(0));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], {type: file.type}));
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
"""
VIEW_JS = """
const zoom = {value: 1};
const apply = () => {
  const image = element.querySelector('.cx-frame img');
  if (image) image.style.width = `${100 * zoom.value}%`;
  const shown = element.querySelector('.cx-zoom output');
  if (shown) shown.textContent = `${Math.round(100 * zoom.value)} %`;
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-zoom]');
  if (!button) return;
  const step = {in: 1.25, out: 0.8}[button.dataset.zoom];
  zoom.value = step ? Math.min(4, Math.max(1, zoom.value * step)) : 1;
  apply();
});
watch('value', apply);
"""


@cache
def page_js() -> str:
    """Script of the whole page: a picture that is pasted goes into the drop zone."""
    return (_FOLDER / "page.js").read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Gradio's own theme with the system's fonts."""
    return gr.themes.Soft(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
