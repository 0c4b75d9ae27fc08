"""What a label scheme asks of a verdict, what comes of disagreement, and better answers."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from annotation.models import Judgment, Output, Pair
from annotation.services.queue import next_pair
from annotation.services.verdicts import Verdict, amend_judgment, record_judgment, record_shown
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError
from tests import factories


def set_scheme(project: Any, **scheme: Any) -> None:
    project.label_scheme = scheme
    project.save()


def given(project: Any, annotator: Any = None) -> tuple[Any, Any]:
    """An annotator with a lease on a pair, and the lease."""
    annotator = annotator or factories.make_annotator(project)
    annotator.project = project
    lease = next_pair(annotator=annotator)
    return annotator, lease


def say(project: Any, outcome: str = "a", *, annotator: Any = None, **said: Any) -> Judgment:
    annotator, lease = given(project, annotator)
    verdict = Verdict(uuid=uuid4(), outcome=outcome, **said)
    return record_judgment(annotator=annotator, pair=lease.pair, verdict=verdict)[0]


def mark(pair: Pair) -> dict[str, Any]:
    return {"side": "a", "kind": "span", "start": 0, "end": 3, "quote": pair.output_a.text[:3]}


def clip(project: Any, number: int, duration: float) -> Any:
    sha256 = f"{number:064x}"
    return Asset.objects.create(
        project=project, sha256=sha256, kind="video", mime="video/mp4", size=1, duration=duration
    )


@pytest.mark.parametrize(
    ("scheme", "said", "field"),
    [
        ({"tie": False}, {"outcome": "tie"}, "outcome"),
        ({"both_bad": False}, {"outcome": "both_bad"}, "outcome"),
        ({"steps": 3}, {"strength": -2}, "strength"),
        ({"steps": 5}, {"strength": -3}, "strength"),
        ({}, {"strength": -4}, "strength"),
        ({}, {"strength": 1}, "strength"),
        ({"steps": 3, "aspects": ["style"]}, {"aspects": {"style": 2}}, "aspects"),
        ({"aspects": ["style"]}, {"aspects": {"taste": 1}}, "aspects"),
        ({"tags": ["clear"]}, {"tags": ["murky"]}, "tags"),
        ({"rationale_required": True}, {"rationale": "  "}, "rationale"),
        ({"rationale_required": True, "rationale_min": 9}, {"rationale": "  short  "}, "rationale"),
        ({"rationale_min": 9}, {"rationale": "short"}, "rationale"),
        ({}, {"rationale": "x" * 20_001}, "rationale"),
        ({"evidence": "required"}, {}, "evidence"),
        ({}, {"correction": "Better."}, "correction"),
        ({"correction": True}, {"correction": "x" * 200_001}, "correction"),
        ({}, {"segments": [{"start": 0, "end": 1, "outcome": "a"}]}, "segments"),
        ({}, {"skip_reason": "broken"}, "skip_reason"),
        ({}, {"outcome": "skip", "skip_reason": "no mood"}, "skip_reason"),
    ],
)
def test_what_the_scheme_does_not_allow_is_refused_at_its_field(
    project: Any, scheme: dict[str, Any], said: dict[str, Any], field: str
) -> None:
    set_scheme(project, **scheme)
    factories.make_pair(project)
    with pytest.raises(UserError) as error:
        say(project, **said)
    assert error.value.field == field
    assert not Judgment.objects.exists()


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ({"steps": 3}, {"outcome": "b"}),
        ({"steps": 5}, {"outcome": "b", "strength": 2}),
        ({"steps": 5, "aspects": ["style"]}, {"aspects": {"style": -2}}),
        ({"rationale_min": 9}, {}),
        ({"rationale_required": True, "rationale_min": 3}, {"rationale": "yes"}),
        ({"rationale_required": True, "evidence": "required"}, {"outcome": "skip"}),
        ({}, {"outcome": "skip", "skip_reason": "broken"}),
    ],
)
def test_what_the_scheme_allows_is_stored(
    project: Any, scheme: dict[str, Any], said: dict[str, Any]
) -> None:
    set_scheme(project, **scheme)
    factories.make_pair(project)
    judgment = say(project, **said)
    judgment.refresh_from_db()
    assert {name: getattr(judgment, name) for name in said} == said


def test_evidence_is_refused_where_it_is_switched_off(project: Any) -> None:
    pair = factories.make_pair(project)
    set_scheme(project, evidence="off")
    with pytest.raises(UserError) as error:
        say(project, evidence=[mark(pair)])
    assert error.value.field == "evidence"


@pytest.mark.parametrize("swapped", [False, True])
def test_on_the_screen_evidence_belongs_to_a_place(project: Any, swapped: bool) -> None:
    factories.make_pair(project)
    rater, lease = given(project)
    lease.swapped = swapped
    lease.save()
    first, second = lease.shown
    seen = [
        {"side": place, "kind": "span", "start": 0, "end": 9, "quote": output.text[:9]}
        for place, output in (("a", first), ("b", second))
    ]
    verdict = Verdict(uuid=uuid4(), outcome="a", evidence=seen)
    judgment, _ = record_shown(annotator=rater, pair=lease.pair, verdict=verdict)
    sides = [item["side"] for item in judgment.evidence]
    assert sides == (["b", "a"] if swapped else ["a", "b"])


@pytest.mark.django_db
@pytest.mark.parametrize("swapped", [False, True])
def test_parts_of_a_video_have_verdicts_of_their_own(swapped: bool) -> None:
    project = factories.make_project(modality="video", label_scheme={"segments": True})
    prompt = factories.make_prompt(project)
    files = (clip(project, 1, 2.0), clip(project, 2, 3.0))
    outputs = [
        factories.make_output(prompt, "", model=factories.make_model(project, name), asset=file)
        for name, file in zip(("model-x", "model-y"), files, strict=True)
    ]
    factories.add_pair(first=outputs[0], second=outputs[1])
    rater, lease = given(project)
    lease.swapped = swapped
    lease.save()
    parts = [{"start": 0.0, "end": 1.0, "outcome": "a", "strength": -2}]
    too_long = [{"start": 0.0, "end": 2.5, "outcome": "a"}]
    with pytest.raises(UserError, match="segment 1"):
        record_shown(
            annotator=rater,
            pair=lease.pair,
            verdict=Verdict(uuid=uuid4(), outcome="tie", segments=too_long),
        )
    verdict = Verdict(uuid=uuid4(), outcome="tie", segments=parts)
    judgment, _ = record_shown(annotator=rater, pair=lease.pair, verdict=verdict)
    turned = {"start": 0.0, "end": 1.0, "outcome": "b", "strength": 2}
    assert judgment.segments == ([turned] if swapped else parts)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (["a", "a"], 2),
        (["a", "b"], 3),
        (["a", "b", "tie"], 4),
        (["a", "b", "a"], 3),
        (["a", "b", "tie", "both_bad"], 4),
    ],
)
def test_a_pair_without_a_majority_wants_one_judgment_more(
    project: Any, said: list[str], wanted: int
) -> None:
    project.overlap, project.overlap_max = 2, 4
    project.save()
    pair = factories.make_pair(project)
    for outcome in said:
        say(project, outcome)
    pair.refresh_from_db()
    assert (pair.judged, pair.wanted) == (len(said), wanted)


def test_skips_and_judges_have_no_part_in_a_disagreement(project: Any) -> None:
    project.overlap, project.overlap_max = 2, 4
    project.save()
    pair = factories.make_pair(project)
    factories.make_judgment(pair, "b", annotator=factories.make_annotator(project, kind="judge"))
    say(project, "skip")
    say(project, "a")
    say(project, "a")
    pair.refresh_from_db()
    assert (pair.judged, pair.wanted) == (2, 2)


def test_without_a_limit_a_disagreement_changes_nothing(project: Any) -> None:
    project.overlap = 2
    project.save()
    pair = factories.make_pair(project)
    say(project, "a")
    say(project, "b")
    pair.refresh_from_db()
    assert pair.wanted == 2


class TestABetterAnswer:
    @pytest.fixture(autouse=True)
    def _allowed(self, project: Any) -> None:
        project.overlap = 2
        set_scheme(project, correction=True)
        self.project = project
        self.group = project.groups.create(name="experts")
        self.pair = factories.make_pair(project)
        self.rater = factories.make_annotator(project, "rater")
        self.group.members.add(self.rater)

    def say(self, **said: Any) -> Judgment:
        return say(self.project, annotator=self.rater, **said)

    def test_it_is_an_output_in_the_name_of_people_with_a_pair_for_each_side(self) -> None:
        judgment = self.say(correction="  A better answer. ")
        output = judgment.correction
        assert (output.text, output.author) == ("A better answer.", self.rater)
        assert (output.model.name, output.model.family) == ("people", "imported")
        pairs = Pair.objects.filter(origin="correction")
        others = {p.output_a if p.output_b == output else p.output_b for p in pairs}
        assert others == {self.pair.output_a, self.pair.output_b}
        assert {p.wanted for p in pairs} == {2}

    def test_its_author_is_not_given_its_pairs_and_others_are(self) -> None:
        self.say(correction="A better answer.")
        assert next_pair(annotator=self.rater) is None
        other = factories.make_annotator(self.project)
        assert next_pair(annotator=other).pair == self.pair
        assert next_pair(annotator=other, holding=[self.pair.pk]).pair.origin == "correction"

    def test_its_pairs_stay_in_the_group_of_the_pair(self) -> None:
        Pair.objects.update(group=self.group)
        self.say(correction="A better answer.")
        assert set(Pair.objects.values_list("group", flat=True)) == {self.group.pk}

    def test_two_people_who_write_the_same_are_two_authors(self) -> None:
        self.say(correction="A better answer.")
        say(self.project, correction="A better answer.")
        assert Output.objects.filter(model__name="people").count() == 2
        assert Output.objects.filter(author=None, model__name="people").count() == 0

    def test_a_copy_of_one_of_the_two_is_refused(self) -> None:
        with pytest.raises(UserError) as error:
            self.say(correction=f" {self.pair.output_b.text}\n")
        assert error.value.code == "same_as_output"
        assert Output.objects.count() == 2

    def test_nothing_of_it_is_kept_where_the_verdict_is_refused(self) -> None:
        next_pair(annotator=self.rater)
        Pair.objects.update(judged=2)
        verdict = Verdict(uuid=uuid4(), outcome="a", correction="A better answer.")
        with pytest.raises(UserError):
            record_judgment(annotator=self.rater, pair=self.pair, verdict=verdict)
        assert Output.objects.count() == 2

    def test_amended_it_takes_the_place_of_the_first(self) -> None:
        first = self.say(correction="A beter answer.")
        kept = self._amend(first, correction="A beter answer.")
        assert kept.correction == first.correction
        assert Output.objects.count() == 3
        second = self._amend(kept, correction="A better answer.")
        pairs = Pair.objects.filter(origin="correction")
        assert {p.closed for p in pairs if first.correction in (p.output_a, p.output_b)} == {True}
        assert {p.closed for p in pairs if second.correction in (p.output_a, p.output_b)} == {False}

    def test_taken_back_and_written_again_it_is_compared_again(self) -> None:
        first = self.say(correction="A better answer.")
        second = self._amend(first)
        assert second.correction is None
        assert {p.closed for p in Pair.objects.filter(origin="correction")} == {True}
        self._amend(second, correction="A better answer.")
        assert {p.closed for p in Pair.objects.filter(origin="correction")} == {False}

    def _amend(self, judgment: Judgment, **said: Any) -> Judgment:
        verdict = Verdict(uuid=uuid4(), outcome="a", **said)
        return amend_judgment(annotator=self.rater, judgment=judgment, verdict=verdict)[0]
