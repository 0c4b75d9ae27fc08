"""A verdict, and whether a project's label scheme allows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.evidence import Shown, checked_evidence, checked_segments, settled_strength
from annotation.models import Outcome, Output, Pair
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project

RATIONALE_LIMIT = 20_000
CORRECTION_LIMIT = 200_000


@dataclass(frozen=True)
class Verdict:
    """What an annotator says of a pair, against item identity (a, b).

    Exposure: ``visible_ms``, ``device`` (``touch`` or ``pointer``), ``width`` and ``height`` of the
    window in pixels, and under ``a`` and ``b`` the ``ms`` that the side could be seen, the share of
    a video ``watched``, its ``plays`` and ``seeks``, whether a picture was ``zoomed``.
    """

    uuid: UUID
    outcome: str
    strength: int = 0
    """Negative means a is better; its magnitude is at most (steps - 1) / 2. 0 with outcome a or b
    is taken as 1 step."""
    rationale: str = ""
    tags: list[str] = field(default_factory=list)
    aspects: dict[str, int] = field(default_factory=dict)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    """What the rationale points at, each item bound to a side (see annotation.evidence)."""
    segments: list[dict[str, Any]] = field(default_factory=list)
    """``{start, end, outcome, strength}``: verdicts on parts of a video, in seconds."""
    correction: str = ""
    """A better answer, in the annotator's words."""
    skip_reason: str = ""
    exposure: dict[str, Any] = field(default_factory=dict)
    duration_ms: int | None = None


def top_of(scheme: dict[str, Any]) -> int:
    """The highest strength on the project's scale: 1, 2 or 3."""
    return (scheme["steps"] - 1) // 2


def checked(verdict: Verdict, *, project: Project, pair: Pair) -> Verdict:
    """The verdict as it is to be stored, if the label scheme and the pair's outputs allow it.

    Raises:
        UserError: naming the field and what would be right.
    """
    scheme = project.scheme
    strength = checked_outcome(verdict.outcome, verdict.strength, scheme)
    check_reasons(verdict, scheme)
    correction = verdict.correction.strip()
    if not (verdict.evidence or verdict.segments or correction):
        return replace(verdict, strength=strength, correction="")
    outputs = _outputs_of(pair)
    if correction:
        _check_correction(correction, outputs, project)
    sides = {side: shown_of(output) for side, output in zip("ab", outputs, strict=True)}
    return replace(
        verdict,
        strength=strength,
        correction=correction,
        evidence=checked_evidence(verdict.evidence, sides) if verdict.evidence else [],
        segments=checked_segments(verdict.segments, sides, top=top_of(scheme))
        if verdict.segments
        else [],
    )


def check_reasons(verdict: Verdict, scheme: dict[str, Any]) -> None:
    """All that a verdict says besides its outcome is of the scheme, and there is as much of it as
    the scheme asks for.

    Raises:
        UserError: naming the field and what would be right.
    """
    _check_names(verdict, scheme)
    _check_words(verdict, scheme)


def checked_outcome(outcome: str, strength: int, scheme: dict[str, Any]) -> int:
    """The strength that goes with the outcome on the project's scale.

    Raises:
        UserError: the scheme does not offer that outcome, or the two contradict each other.
    """
    if outcome not in Outcome.values:
        raise UserError(
            f"outcome is {outcome!r}; it must be one of {', '.join(Outcome.values)}.",
            field="outcome",
        )
    if outcome in (Outcome.TIE, Outcome.BOTH_BAD) and not scheme[outcome]:
        raise UserError(f"This project does not use “{outcome}”.", field="outcome")
    try:
        return settled_strength(outcome, strength, top_of(scheme))
    except ValueError as error:
        raise UserError(f"{error}".capitalize(), field="strength") from None


def _check_names(verdict: Verdict, scheme: dict[str, Any]) -> None:
    """Aspects, tags and the reason of a skip are those that the scheme names."""
    top = top_of(scheme)
    for name, value in verdict.aspects.items():
        _check_known(name, scheme["aspects"], "aspects", "There is no aspect “{}”; there are {}.")
        if isinstance(value, bool) or not -top <= value <= top:
            raise UserError(f"{name} is {value}; it must be from -{top} to {top}.", field="aspects")
    for tag in verdict.tags:
        _check_known(tag, scheme["tags"], "tags", "There is no tag “{}”; there are {}.")
    if not verdict.skip_reason:
        return
    if verdict.outcome != Outcome.SKIP:
        raise UserError(
            f"skip_reason goes with outcome skip, not with {verdict.outcome}.", field="skip_reason"
        )
    _check_known(
        verdict.skip_reason,
        scheme["skip_reasons"],
        "skip_reason",
        "“{}” is no reason to skip here; there are {}.",
    )


def _check_known(name: str, known: Sequence[str], field: str, message: str) -> None:
    if name not in known:
        # a name may hold what cannot be sent back
        shown = name[:100].encode(errors="replace").decode()
        raise UserError(message.format(shown, ", ".join(known) or "none"), field=field)


def _check_words(verdict: Verdict, scheme: dict[str, Any]) -> None:
    """What a verdict must come with, and what this project has no place for."""
    rationale = verdict.rationale.strip()
    if len(rationale) > RATIONALE_LIMIT:
        raise UserError(
            _("The rationale has %(n)d characters; at most %(limit)d are kept.")
            % {"n": len(rationale), "limit": RATIONALE_LIMIT},
            field="rationale",
        )
    if verdict.evidence and scheme["evidence"] == "off":
        raise UserError("This project takes no evidence; leave it out.", field="evidence")
    if verdict.segments and not scheme["segments"]:
        raise UserError("This project takes no verdicts on parts.", field="segments")
    if verdict.correction.strip() and not scheme["correction"]:
        raise UserError("This project takes no better answers.", field="correction")
    if verdict.outcome == Outcome.SKIP:
        return
    if scheme["rationale_required"] and not rationale:
        raise UserError(
            _("Say why: this project asks for a rationale with every verdict."),
            code="rationale_required",
            field="rationale",
        )
    # one that need not be given may be left out, yet if it is given it says something
    if rationale and len(rationale) < scheme["rationale_min"]:
        raise UserError(
            ngettext(
                "Say a little more: a rationale here has at least %(least)d character.",
                "Say a little more: a rationale here has at least %(least)d characters.",
                scheme["rationale_min"],
            )
            % {"least": scheme["rationale_min"]},
            code="rationale_too_short",
            field="rationale",
        )
    if scheme["evidence"] == "required" and not verdict.evidence:
        raise UserError(
            _("Mark what decides it: this project asks for evidence with every verdict."),
            code="evidence_required",
            field="evidence",
        )


def _check_correction(correction: str, outputs: list[Output], project: Project) -> None:
    if project.modality != Modality.TEXT:
        raise UserError("A better answer can be written to a text only.", field="correction")
    if len(correction) > CORRECTION_LIMIT:
        raise UserError(
            _("Your answer has %(n)d characters; at most %(limit)d are kept.")
            % {"n": len(correction), "limit": CORRECTION_LIMIT},
            field="correction",
        )
    if correction in {output.text.strip() for output in outputs}:
        raise UserError(
            _("Your answer is the same as one of the two; change it or leave it out."),
            code="same_as_output",
            field="correction",
        )


def _outputs_of(pair: Pair) -> list[Output]:
    """Sides a and b in one query, unless they are loaded already."""
    if Pair.output_a.is_cached(pair) and Pair.output_b.is_cached(pair):
        return [pair.output_a, pair.output_b]
    found = Output.objects.select_related("asset").in_bulk([pair.output_a_id, pair.output_b_id])
    return [found[pair.output_a_id], found[pair.output_b_id]]


def shown_of(output: Output) -> Shown:
    """What there is in it to point at; its asset is read."""
    asset = output.asset
    if asset is None:
        return Shown(text=output.text)
    return Shown(text=output.text, kind=asset.kind, duration=asset.duration)
