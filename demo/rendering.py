"""What the page shows as HTML. Nothing from a request gets in here but numbers and known names."""

from html import escape
from typing import Any

import numpy as np

from chexnet.explain import CLOSED_FORM
from chexnet.labels import FINDINGS, NO_FINDING, NOTES, spoken
from chexnet.metadata import Metadata, better_than_guessing
from demo import security
from demo.components import data_url
from demo.examples import thumbnails
from demo.pictures import DisplaySettings, gradient, png, top_of
from demo.service import Analysis

NOT_FOR_DIAGNOSIS = (
    "Research and education only. Not for diagnosis: never decide anything about a patient with it."
)
KEPT = (
    "Your file is removed from the disk as soon as it is answered. A reduced copy and the result "
    f"stay in memory for {security.KEPT_SECONDS // 60} minutes, for you alone, so that you can "
    "choose another finding. Names and other tags of a DICOM are never read."
)

_TICK = '<span class="cx-tick" aria-hidden="true"></span>'


def header(weights: str, metadata: Metadata) -> str:
    """Title, the line that stands on every view, and the banner of what it was trained on."""
    return (
        '<header class="cx-head"><div><h1>chexnet</h1><p>What a network sees in a chest '
        "radiograph, and where it looked.</p></div>"
        f'<p class="cx-care">{NOT_FOR_DIAGNOSIS}</p></header>{_banner(metadata)}'
        f'<p class="cx-weights">Weights: <code>{escape(weights)}</code></p>'
    )


def _banner(metadata: Metadata) -> str:
    better = (
        "To load better weights, train on real radiographs and start <code>python -m demo "
        "--weights runs/NAME/best_chexnet_params.pth</code>."
    )
    if metadata.trained_on == "radiographs":
        return ""
    if metadata.trained_on == "phantoms":
        said = "Trained on drawn phantoms, not on patients."
        more = "What it says of a real radiograph means nothing."
    else:
        data = metadata.provenance["data"]
        real = data["images"]["train"] - data["drawn"]["train"]
        said = f"Trained on drawn phantoms and {real:,} real radiographs: a teaching aid."
        more = _on_real_ones(metadata.validation.get("reported", {}).get("radiographs"))
    return f'<div class="cx-banner" role="note"><strong>{said}</strong> {more} {better}</div>'


def _on_real_ones(figures: dict[str, Any] | None) -> str:
    """What a scoring of real radiographs means for somebody who uploads one."""
    if not figures:
        return "How it does on real radiographs was not measured."
    mean = figures["mean_auroc"]["findings"]["value"]
    if mean is None:
        return "They were too few to measure how it does on real radiographs."
    surely = better_than_guessing(figures)
    named = ", ".join(spoken(name) for name in surely) if surely else "no finding"
    return (
        f"On {int(figures['images']):,} real radiographs that it never saw, its mean AUROC was "
        f"{float(mean):.2f}, where 0.5 is guessing and 1 is perfect: surely better than guessing "
        f"for {named}, unproven for all others."
    )


def verdict(seen: Analysis | None, anyway: bool) -> str:
    """What the gate says, with the ways on; empty where the picture is fine."""
    if seen is None or seen.verdict.fine:
        return ""
    message = escape(seen.verdict.message)
    if anyway:
        return (
            f'<div class="cx-gate" role="status"><strong>PageState all the same.</strong> {message}'
            "</div>"
        )
    mend = ""
    if seen.verdict.turns or seen.verdict.inverted:
        mend = '<button type="button" data-act="correct">Set it right</button>'
    return (
        f'<div class="cx-gate" role="alert"><strong>Wait.</strong> {message}<div class="cx-acts">'
        f'{mend}<button type="button" data-act="anyway">Show the result anyway</button></div></div>'
    )


def bars(
    probabilities: dict[str, float], thresholds: dict[str, float | None], chosen: str | None
) -> str:
    """Findings sorted by probability; No Finding apart; Other is no bar."""
    order = sorted((n for n in probabilities if n in FINDINGS), key=lambda n: -probabilities[n])
    rows = "".join(_bar(n, probabilities[n], thresholds.get(n), n == chosen) for n in order)
    apart = ""
    if NO_FINDING in probabilities:
        value = probabilities[NO_FINDING]
        apart = f'<div class="cx-none">{_body(NO_FINDING, value, thresholds.get(NO_FINDING))}</div>'
    return (
        '<p class="cx-hint"><strong>Choose a finding to see where the network looked.</strong> '
        "A bar is the probability that the network gives to the finding; it is orange where it "
        f"reaches the finding's own threshold {_TICK}, the point at which the network told best "
        "who of its validation patients had it.</p>"
        f'<div class="cx-bars" role="group" aria-label="Findings, the most probable first">{rows}'
        f"</div>{apart}"
    )


def _bar(name: str, value: float, threshold: float | None, chosen: bool) -> str:
    over = threshold is not None and value >= threshold
    classes = "cx-bar" + (" cx-over" if over else "")
    pressed = "true" if chosen else "false"
    return (
        f'<button type="button" class="{classes}" data-finding="{escape(name)}" '
        f'aria-pressed="{pressed}">{_body(name, value, threshold)}</button>'
    )


def _body(name: str, value: float, threshold: float | None) -> str:
    mark, told = "", "no threshold, because its validation had no such case"
    if threshold is not None:
        mark = f'<i class="cx-mark" style="left:{100 * threshold:.1f}%"></i>'
        side = "above" if value >= threshold else "below"
        told = f"{side} its threshold of {percent(threshold)}"
    return (
        f'<span class="cx-name">{escape(spoken(name))}</span>'
        f'<span class="cx-value">{percent(value)}<small title="{told}" aria-hidden="true">'
        f"{_TICK}{'none' if threshold is None else percent(threshold)}</small></span>"
        f'<span class="cx-track" aria-hidden="true"><i class="cx-fill" '
        f'style="width:{100 * value:.1f}%"></i>{mark}</span>'
        f'<span class="cx-note">{escape(NOTES[name])}<span class="cx-sr"> {told}.</span></span>'
    )


def percent(value: float) -> str:
    """A probability for people: `63 %`, `0.4 %`, `< 0.1 %`."""
    shown = 100 * value
    if shown < 0.1:
        return "< 0.1 %"
    return f"{shown:.1f} %" if shown < 10 else f"{shown:.0f} %"


def facts(seen: Analysis) -> str:
    """What was read of the picture, in a line."""
    height, width = seen.shape
    parts = [
        f"{seen.radiograph.facts.format}, {width} x {height}, {seen.radiograph.facts.bits} bit"
    ]
    if seen.radiograph.facts.bits > 8:
        parts.append("scaled by the range it uses")
    if seen.radiograph.facts.turned:
        parts.append("turned as the file says")
    if seen.radiograph.facts.inverted:
        parts.append("bones made bright")
    return ", ".join(parts)


def viewer(
    picture: bytes,
    seen: Analysis,
    finding: str | None,
    heat: np.ndarray | None,
    look: DisplaySettings,
    method: str,
) -> str:
    """The radiograph, its heatmap and the legend."""
    if finding is None or heat is None:
        return _figure(picture, "The radiograph as it was read", facts(seen), "", "")
    name = escape(spoken(finding))
    if not heat.any():
        said = f"Nothing in this picture speaks for {name}."
        return _figure(picture, f"The radiograph; {said}", f"<strong>{said}</strong>", "", said)
    alt = f"The radiograph with the {method} heatmap of {name}; {_where(heat)}"
    caption = f"<strong>{name}</strong> &middot; {escape(method)} &middot; {facts(seen)}"
    return _figure(picture, alt, caption, legend(heat, look, method), name)


def caption_only(
    heat: np.ndarray, seen: Analysis, finding: str, look: DisplaySettings, method: str
) -> str:
    """What stands under the two pictures with the slider between them."""
    name = escape(spoken(finding))
    said = "" if heat.any() else f" Nothing in this picture speaks for {name}."
    under = legend(heat, look, method) if heat.any() else ""
    return (
        f'<div class="cx-view cx-caption">{under}<p><strong>{name}</strong> &middot; '
        f"{escape(method)} &middot; {facts(seen)}.{said} Drag the line: left the radiograph, "
        "right the heatmap.</p></div>"
    )


def legend(heat: np.ndarray, look: DisplaySettings, method: str) -> str:
    """The heat scale with its unit."""
    top = top_of(heat, look, method)
    if method == CLOSED_FORM:
        unit = (
            "No colour: nothing there speaks for the finding. The brighter, the more does; in "
            "logits: what its score would gain if every place looked like this one"
        )
        if look.scale == "stretched":
            unit += "; stretched to this map's own greatest"
        right = f"{top:.1f}" if look.scale == "stretched" else f"{top:.0f}+"
    else:
        unit, right = "relative to the strongest place; this method has no unit", "1"
    shades = gradient(look.colours, look.opacity)
    return (
        f'<div class="cx-legend"><span>0</span><i style="background:{shades}"></i>'
        f"<span>{right}</span><small>{unit}</small></div>"
    )


def _where(heat: np.ndarray) -> str:
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    height = ("upper", "middle", "lower")[min(2, 3 * int(row) // heat.shape[0])]
    side = ("left", "centre", "right")[min(2, 3 * int(column) // heat.shape[1])]
    return f"strongest in the {height} {side} of the picture"


def _figure(picture: bytes, alt: str, caption: str, under: str, short: str) -> str:
    """`short` is said within the picture where the caption may be out of sight: on a phone."""
    return (
        f'<figure class="cx-view"><div class="cx-frame" data-short="{short}" tabindex="0" '
        'role="region" aria-label="Picture; scrolls when it is magnified">'
        f'<img src="{data_url(picture)}" alt="{alt}"></div>'
        f"{under}<figcaption>{caption}</figcaption>{_ZOOM}</figure>"
    )


def examples() -> str:
    """A row of drawn radiographs to try."""
    buttons = "".join(
        f'<button type="button" data-example="{example.name}">'
        f'<img src="{data_url(png(pixels))}" alt=""><span>{escape(example.title)}</span></button>'
        for example, pixels in thumbnails()
    )
    return (
        '<p class="cx-label">Or try a drawn example, with what was drawn into it</p>'
        f'<div class="cx-examples">{buttons}</div>'
    )


_ZOOM = (
    '<div class="cx-zoom" role="group" aria-label="Magnify">'
    '<button type="button" data-zoom="out" aria-label="Smaller">&minus;</button>'
    "<output>100 %</output>"
    '<button type="button" data-zoom="in" aria-label="Larger">+</button>'
    '<button type="button" data-zoom="fit">Fit</button></div>'
)
EMPTY_VIEW = (
    '<div class="cx-empty"><p>Drop a chest radiograph above, paste one, or choose an example. It '
    "appears here.</p></div>"
)
EMPTY_BARS = '<div class="cx-empty"><p>The findings appear here, the most probable first.</p></div>'
