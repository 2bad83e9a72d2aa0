"""What a visitor may take home: the overlay, the answer, and a report on one page.

Nothing is written on the server: the page gets the bytes and makes the file itself.
"""

import base64
import json
import time
from datetime import UTC, datetime
from html import escape
from typing import Any

from chexnet.labels import FINDINGS, NO_FINDING, NOTES, spoken
from demo.components import data_url
from demo.rendering import NOT_FOR_DIAGNOSIS, legend, percent

TRAINING = {
    "phantoms": "Trained on drawn phantoms: it means nothing for a patient.",
    "both": "Trained on drawn phantoms and real radiographs: a teaching aid, often wrong.",
}

KINDS = ("overlay", "json", "report")


def delivery(name: str, kind: str, data: bytes) -> str:
    """A file for the page's script; the time makes the same file twice two deliveries."""
    return json.dumps(
        {
            "name": name,
            "type": kind,
            "data": base64.b64encode(data).decode(),
            "at": time.monotonic_ns(),
        }
    )


def as_json(result: dict[str, Any]) -> bytes:
    """The answer, without the picture."""
    return json.dumps(result, indent=1).encode()


def report(
    result: dict[str, Any],
    weights: str,
    plain: bytes,
    over: bytes,
    shown: str,
    scale: str,
) -> bytes:
    """A page that needs nothing else and holds nothing of the patient but the radiograph.

    Args:
        result: see `Page.result`.
        weights: the file's name.
        plain: PNG of the radiograph.
        over: PNG of the radiograph with the heatmap.
        shown: what the heatmap shows, in words.
        scale: the legend, as HTML.
    """
    values, thresholds = result["probabilities"], result["thresholds"]
    order = sorted((n for n in values if n in FINDINGS), key=lambda n: -values[n])
    order += [NO_FINDING] if NO_FINDING in values else []
    rows = "".join(
        f"<tr><td>{escape(spoken(n))}<br><small>{escape(NOTES[n])}</small></td>"
        f'<td class="n">{percent(values[n])}</td><td class="n">'
        f"{'n/a' if thresholds[n] is None else percent(thresholds[n])}</td>"
        f"<td>{'above' if n in result['over_threshold'] else ''}</td></tr>"
        for n in order
    )
    warnings = ""
    if result["trained_on"] != "radiographs":
        warnings += f"<p class=w>{TRAINING[result['trained_on']]}</p>"
    if not result["gate"]["fine"]:
        warnings += f"<p class=w>{escape(result['gate']['message'])}</p>"
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>chexnet report</title>
<meta name="viewport" content="width=device-width"><style>
body {{ font: 14px/1.4 system-ui, sans-serif; max-width: 52rem; margin: 1.5rem auto;
  padding: 0 1rem; color: #16202c; }}
h1 {{ font-size: 1.4rem; margin: 0; }} small {{ color: #56616e; }}
.w {{ background: #ffe8b8; border-left: .4rem solid #b96a00; padding: .5rem .8rem; }}
.p {{ display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; }} .p img {{ width: 100%; }}
figure {{ margin: 0; }} table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; padding: .18rem .5rem .18rem 0; border-bottom: 1px solid #d5dbe2;
  vertical-align: top; }} .n {{ text-align: right; white-space: nowrap; }}
.cx-legend {{ display: grid; grid-template-columns: auto 1fr auto; gap: .1rem .4rem;
  align-items: center; }} .cx-legend i {{ height: .6rem; }}
.cx-legend small {{ grid-column: 1 / -1; }}
@media print {{ body {{ margin: 0; font-size: 10px; }} .p {{ max-width: 36rem; }} }}
</style></head><body><h1>chexnet report</h1><p><strong>{NOT_FOR_DIAGNOSIS}</strong></p>
{warnings}<div class="p"><figure><img src="{data_url(plain)}" alt="The radiograph">
<figcaption>The radiograph</figcaption></figure><figure><img src="{data_url(over)}"
alt="{escape(shown)}"><figcaption>{escape(shown)}{scale}</figcaption></figure></div>
<table><thead><tr><th>Finding</th><th class="n">Probability</th><th class="n">Threshold</th>
<th></th></tr></thead><tbody>{rows}</tbody></table>
<p><small>Weights {escape(weights)}; made {date}.</small></p></body></html>
""".encode()


def legend_of(heat: Any, look: Any, method: str) -> str:
    """The heat scale for the report; empty where there is no heat."""
    return legend(heat, look, method) if heat.any() else ""


BUTTONS = (
    '<p class="cx-label">Take the result home</p><div class="cx-files">'
    '<button type="button" data-kind="report">Report (HTML)</button>'
    '<button type="button" data-kind="overlay">Picture with heatmap (PNG)</button>'
    '<button type="button" data-kind="json">Figures (JSON)</button></div>'
)
