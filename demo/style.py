"""Theme, style and the few lines of script. No font and no file of another host."""

from functools import cache
from pathlib import Path

import gradio as gr

_FOLDER = Path(__file__).with_name("static")
CSS = (_FOLDER / "page.css").read_text(encoding="utf-8")
HEAD = """<style>
.gradio-container { --cx-soft: color-mix(in srgb, var(--body-text-color) 75%, transparent);
  --color-accent: var(--primary-700); }
.dark .gradio-container { --color-accent: var(--primary-400); }
.gradio-container > .main.app { max-width: 1440px; margin: 0 auto; }
@media (max-width: 700px) {
  .gradio-container > .main.app { padding: .6rem !important; }
  .gradio-container { overflow: clip !important; } /* "hidden" would let nothing stick */
}
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
  element.querySelector('.cx-frame')?.style.setProperty('--zoom', zoom.value);
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
// On a phone a new picture lies below the examples: who chose one would see nothing happen. The
// gate's question, where there is one, stands right above it.
const reveal = () => {
  const frame = element.querySelector('.cx-frame');
  if (!frame) return;
  const {top, bottom} = frame.getBoundingClientRect();
  if (bottom > 80 && top < innerHeight - 80) return;
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  (document.querySelector('.cx-gate') || frame).scrollIntoView(
    {block: 'start', behavior: still ? 'instant' : 'smooth'});
};
watch('value', () => { apply(); requestAnimationFrame(() => requestAnimationFrame(reveal)); });
"""


@cache
def page_js() -> str:
    """Script of the whole page: a picture that is pasted goes into the drop zone."""
    return (_FOLDER / "page.js").read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Gradio's own theme with the system's fonts, darker where it writes."""
    return gr.themes.Soft(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(  # its own teal on white has a contrast of 2.5; text needs 4.5 (WCAG 1.4.3)
        background_fill_primary="*neutral_50",  # Soft's own, which a second `set` forgets
        block_label_text_color="*primary_700",
        block_title_text_color="*primary_700",
        block_label_background_fill_dark="*primary_700",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
    )
