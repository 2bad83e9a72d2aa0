"""What eval computes, shows and writes of some scores, and of no scores at all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chexnet.data.formats import DataRequest
    from chexnet.evaluation.assessment import Assessment
    from chexnet.evaluation.experts import ExpertLabels
    from chexnet.evaluation.report.files import ReportImages
    from chexnet.evaluation.scoring import Scored
    from chexnet.evaluation.truths import ProtocolFigures


def finish(
    scored: "Scored",
    data: Path,
    results: Path,
    *,
    shares: Sequence[str],
    both_labels: bool,
    weights: Sequence[Path],
    replicates: int,
    seed: int,
    report: "Callable[[], ReportImages] | None" = None,
    experts: "Sequence[ExpertLabels]" = (),
) -> None:
    """Compute, show and write everything that is asked for.

    Args:
        scored: the scores.
        data: folder of the label tables.
        results: folder of the files.
        shares: what the user gave as prevalence.
        both_labels: report each of NIH's tables.
        weights: the networks, none for a CSV.
        replicates: bootstrap draws.
        seed: of the bootstrap.
        report: gives the pictures of a report; None where none is wanted.
        experts: what radiologists said of some of the images.
    """
    from chexnet.data.splits import LEAKY
    from chexnet.errors import ChexnetError
    from chexnet.evaluation.assessment import assess
    from chexnet.evaluation.expert_figures import score_experts
    from chexnet.evaluation.predictions import write_predictions
    from chexnet.evaluation.report.files import write_report
    from chexnet.evaluation.report.history import record_scoring
    from chexnet.evaluation.report.page import Report
    from chexnet.evaluation.report.plots import plot_auroc, plot_roc
    from chexnet.evaluation.report.terminal import (
        about_text,
        assessment_text,
        both_text,
        experts_text,
    )
    from chexnet.evaluation.truths import both_tables, tables_told
    from chexnet.evaluation.truths import lists_told as protocols_text
    from chexnet.files import plain, write_json
    from chexnet.metadata import surroundings

    stamp = LEAKY if scored.facts.leaky else ""
    prevalence = _prevalence(shares)
    found = assess(
        scored.scores,
        scored.table,
        scored.chosen,
        prevalence=prevalence,
        replicates=replicates,
        seed=seed,
    )
    print(about_text(scored.facts, scored.notes, scored.stamps))
    content = plain({"stamp": stamp, **found.as_dict(), "facts": scored.facts})
    content["made"] = surroundings()
    print(f"\n{assessment_text(content, replicates)}")
    if scored.stamps:
        content["stamps"] = scored.stamps
    by_both = None
    if both_labels:
        options = {"known": found.summary, "replicates": replicates, "seed": seed}
        by_both = both_tables(scored.scores, data, **options)
        content["labels"] = plain(by_both)
        print(f"\n{both_text(content['labels'], tables_told(by_both), replicates)}")
    protocols = _protocols(scored, found, data, replicates, seed)
    if protocols:
        print(f"\n{protocols_text(protocols)}")
        content["protocols"] = plain({one.key: one for one in protocols})
    by_experts = [
        score_experts(found.calibrated, one, scored.table, scored.facts.table, replicates, seed)
        for one in experts
    ]
    if by_experts:
        content["experts"] = plain({one.labels.key: one for one in by_experts})
        print(f"\n{experts_text(by_experts)}")
    record = []
    if weights:
        try:
            record = record_scoring(scored.facts, found.summary, weights[0].parent)
        except ChexnetError as error:  # weights may lie where nobody can write
            print(f"\nThis scoring is not noted beside the weights: {error}")
    if record:
        print(
            f"\nScorings of test images noted beside these weights: {len(record)} "
            "(it can count only there)."
        )
        content["test_scorings"] = record
    stamped = f".{stamp}" if stamp else ""
    write_predictions(results / f"predictions{stamped}.csv", scored.scores)
    write_json(results / "metrics.json", content)
    plot_auroc(found.summary, results / "auroc.png", stamp)
    plot_roc(scored.scores, found.summary, results / "roc.png", stamp)
    written = "predictions, metrics.json, auroc.png, roc.png"
    if report:
        about = Report(
            scored=scored,
            assessment=found,
            content=content,
            record=record if weights else None,
            experts=by_experts,
            both=by_both,
        )
        written += f", {write_report(about, results, report())}"
    print(f"\nWritten to {results}: {written}")


def _protocols(
    scored: "Scored",
    found: "Assessment",
    data: Path,
    replicates: int,
    seed: int,
) -> "list[ProtocolFigures]":
    """The same answers on each of the two test lists that published figures are of."""
    from chexnet.data.nih import read_lists
    from chexnet.evaluation.truths import protocol_figures, seen_by
    from chexnet.networks.training_lists import images_for_test_2017

    facts = scored.facts
    if facts.phantoms or facts.label_version == "unknown" or facts.label_mapping:
        return []  # the lists name images of NIH's, and these are others under such names
    lists = {"official": (read_lists(data) or {}).get("test", ()), "2017": images_for_test_2017()}
    options = {"whole": found.summary, "replicates": replicates, "seed": seed}
    seen = seen_by([network.metadata.trained_hashes for network in scored.networks])
    return protocol_figures(scored.scores, scored.table, lists, seen, **options)


def text_labels(
    request: "DataRequest",
    experts: "Sequence[ExpertLabels]",
    part: str,
    results: Path,
    replicates: int,
) -> None:
    """Score NIH's text labels, show them and write text_labels.json."""
    from chexnet.evaluation.expert_figures import score_text_labels
    from chexnet.evaluation.report.sentences import facts_text
    from chexnet.evaluation.report.terminal import experts_text
    from chexnet.files import write_json
    from chexnet.metadata import surroundings

    facts, found = score_text_labels(request, experts, part, replicates=replicates)
    print(f"{facts_text(facts)}\n\n{experts_text(found)}")
    groups = {one.labels.key: one for one in found}
    content = {"experts": groups, "facts": facts, "made": surroundings()}
    write_json(results / "text_labels.json", content)
    print(f"\nWritten to {results}: text_labels.json")


def _prevalence(shares: Sequence[str]) -> dict[str, float]:
    """`0.05` is for every class, `Mass=0.05` for one."""
    from chexnet.errors import ConfigError
    from chexnet.labels import LABELS

    found: dict[str, float] = {}
    for given in shares:
        name, _, text = given.rpartition("=")
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not 0 < share < 1 or (name and name not in LABELS):
            raise ConfigError(
                f"--prevalence: found {given!r}, expected a share between 0 and 1, or one of "
                f"{', '.join(LABELS[:3])} ... with one, as in Mass=0.05."
            )
        found |= {name: share} if name else dict.fromkeys(LABELS, share)
    return found
