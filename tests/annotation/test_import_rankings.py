"""Files of sets to rank, with the rankings they come with."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.formats.rankings_jsonl import EXAMPLE, read
from annotation.models import Annotator, Judgment, OutputSet, Pair, Ranking
from annotation.services.files import import_file
from annotation.services.ranking import Order, record_ranking
from annotation.services.ranking_queue import next_set
from annotation.tiers import ranks_of
from steelyard.assets.services import store_upload
from steelyard.lib.errors import UserError
from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import Rows
from steelyard.webhooks.models import Delivery
from steelyard.webhooks.services import add_endpoint
from tests import factories
from tests.annotation.test_label_journey import picture

OUTPUTS = [{"text": text, "model": f"model-{text}"} for text in ("one", "two", "three")]


@pytest.fixture
def project(db: None) -> Any:
    return factories.make_project(label_scheme={"task": "ranking"}, overlap=2)


def line(**values: Any) -> str:
    return json.dumps({"prompt": "Which?", "outputs": OUTPUTS, **values}) + "\n"


def bring(project: Any, text: str) -> Any:
    return import_file(project=project, kind="rankings", data=text.encode(), by=None)


def test_it_works(project: Any) -> None:
    done = bring(project, EXAMPLE)
    assert (done.records, done.sets, done.rankings) == (2, 2, 1)
    assert (done.prompts, done.pairs, done.judgments) == (2, 3, 3)
    ranking = Ranking.objects.get()
    texts = {output.pk: output.text for output in ranking.output_set.outputs.all()}
    ranks = {texts[pk]: rank for pk, rank in ranks_of(ranking.tiers).items()}
    assert ranks == {"56": 1, "54": 2, "55": 2}
    assert list(OutputSet.objects.values_list("judged", "wanted")) == [(0, 2), (1, 1)]
    assert set(Pair.objects.values_list("origin", "judged", "wanted")) == {("ranking", 1, 1)}
    lease = next_set(annotator=factories.make_annotator(project))
    assert lease is not None
    assert lease.output_set == OutputSet.objects.first()


def test_the_same_file_twice_changes_nothing(project: Any) -> None:
    text = line(ranking=[1, 2, 2], annotator="rater")
    bring(project, text)
    before = list(Ranking.objects.values()), list(Judgment.objects.values())
    again = bring(project, text)
    assert (again.sets, again.rankings, again.judgments) == (0, 0, 0)
    assert (list(Ranking.objects.values()), list(Judgment.objects.values())) == before
    assert list(OutputSet.objects.values_list("judged", "wanted")) == [(1, 1)]


def test_several_rankings_of_a_set_are_several_lines_in_whatever_order_of_outputs(
    project: Any,
) -> None:
    text = (
        line(ranking=[1, 2, 3], annotator="rater", rationale="It is.", tags=["clear"])
        + line(outputs=OUTPUTS[::-1], ranking=[1, 2, 3], annotator="scorer")
        + line(ranking=[1, 1, 1], annotator="robot", kind="judge")
    )
    done = bring(project, text)
    assert (done.sets, done.rankings, done.judgments) == (1, 3, 9)
    assert list(OutputSet.objects.values_list("judged", "wanted")) == [(2, 2)]
    assert set(Pair.objects.values_list("judged", "wanted")) == {(2, 2)}
    of = dict(Ranking.objects.values_list("annotator__name", "tiers"))
    assert of["rater"] == of["scorer"][::-1]
    assert Judgment.objects.filter(annotator__name="rater", tags=["clear"]).count() == 3
    assert set(Judgment.objects.by_judges().values_list("outcome", flat=True)) == {"tie"}


@pytest.mark.django_db
def test_sets_of_pictures_name_files_of_the_project() -> None:
    project = factories.make_project(modality="image", label_scheme={"task": "ranking"})
    files = [store_upload(project=project, data=picture(colour)) for colour in range(3)]
    outputs = [{"media": file.sha256, "model": "painter"} for file in files]
    assert bring(project, line(outputs=outputs)).sets == 1
    with pytest.raises(UserError, match="each output “media”"):
        bring(project, line())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (line(outputs=OUTPUTS[:1]), "has 1; a set to rank has 2 to 9"),
        (line(outputs=[{"text": str(n)} for n in range(10)]), "has 10"),
        (line(outputs=[OUTPUTS[0]] * 2), "the same by the same model"),
        (line(outputs="one"), "must be a list"),
        (line(outputs=[{"txt": "x"}, {"text": "y"}]), "no key “txt”"),
        (line(outputs=[{"model": "x"}, {"text": "y"}]), "“text” is missing"),
        (line(ranking=[1, 2], annotator="rater"), "from 1 to 3"),
        (line(ranking=[1, 2, 4], annotator="rater"), "from 1 to 3"),
        (line(ranking=[1, 2, 1.5], annotator="rater"), "from 1 to 3"),
        (line(ranking=[1, 2, True], annotator="rater"), "from 1 to 3"),
        (line(ranking="1 2 3", annotator="rater"), "from 1 to 3"),
        (line(ranking=[1, 2, 3]), "“annotator” is missing"),
        (line(annotator="rater"), "there is no “ranking”"),
        (line(ranking=[1, 2, 3], annotator="rater", kind="cat"), "person or judge"),
        (line(order=[1]), "no key “order”"),
        (line(media=["x.png"]), "“x.png”"),
        (
            line(ranking=[1, 2, 3], annotator="rater") + line(ranking=[1, 3, 2], annotator="rater"),
            "Line 2: rater ranks the same set in another way than at Line 1",
        ),
        (line(outputs=[{"media": "a.png"}, {"media": "b.png"}]), "“a.png”"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_stored(project: Any, text: str, words: str) -> None:
    good = line(prompt="Another?", ranking=[1, 2, 3], annotator="rater") if text else ""
    with pytest.raises(UserError) as refused:
        bring(project, text + good)
    assert words in refused.value.message
    assert not OutputSet.objects.exists()
    assert not Annotator.objects.exists()


def test_nobody_ranks_in_the_name_of_somebody_who_signs_in(project: Any, member: Any) -> None:
    with pytest.raises(UserError, match="somebody who judges in this project"):
        bring(project, line(ranking=[1, 2, 3], annotator=member.username))


@pytest.mark.django_db
def test_a_project_of_pairs_takes_no_sets() -> None:
    with pytest.raises(UserError, match="two answers at a time"):
        bring(factories.make_project(), line())


def test_the_import_page_takes_them(project: Any, owner: Any, as_user: Any) -> None:
    client = as_user(owner)
    page = client.get(f"/p/{project.slug}/import/").content.decode()
    assert 'value="rankings"' in page
    fields = {"kind": "rankings", "text": line(ranking=[1, 2, 2], annotator="rater")}
    done = client.post(f"/p/{project.slug}/import/", fields, follow=True).content.decode()
    assert "1 line read. New: 1 set, 1 ranking." in done


def test_the_example_is_read_as_it_stands() -> None:
    first, second = read(EXAMPLE.encode())
    assert [answer.model for answer in first.answers] == ["large", "small", "unknown"]
    assert (second.ranks, second.annotator) == ([2, 1, 2], "worker 17")


def test_a_version_is_frozen_of_rankings_as_of_any_votes(
    project: Any, owner: Any, as_user: Any
) -> None:
    bring(project, line(ranking=[1, 2, 2], annotator="rater", rationale="One is right."))
    recipe = {"annotators": "people", "ties": "keep", "aggregation": "majority", "min_votes": 1}
    recipe |= {"min_agreement": 0, "test_fraction": 0, "seed": 0}
    address = f"/p/{project.slug}/versions/new/"
    as_user(owner).post(address, {**recipe, "dataset_name": "ranked", "note": ""})
    rows = Rows(DatasetVersion.objects.get())[:]
    found = {(row["chosen"], row["rejected"]) for row in rows if row["outcome"] == "win"}
    assert found == {("one", "two"), ("one", "three")}
    assert [row["outcome"] for row in rows].count("tie") == 1
    assert all(row["rationales"][0]["text"] == "One is right." for row in rows)


def test_a_later_set_of_a_file_has_the_last_word_on_a_pair_that_two_sets_share(
    project: Any,
) -> None:
    more = [*OUTPUTS[:2], {"text": "four", "model": "model-four"}]
    bring(
        project,
        line(ranking=[1, 2, 3], annotator="rater")
        + line(outputs=more, ranking=[2, 1, 3], annotator="rater"),
    )
    assert set(Pair.objects.values_list("judged", "wanted")) == {(1, 1)}
    assert (Judgment.objects.count(), Judgment.objects.current().count()) == (6, 5)
    last = Judgment.objects.exclude(supersedes=None).get()
    assert not last.supersedes.is_current
    assert {last.outcome, last.supersedes.outcome} == {"a", "b"}
    said = last.pair.output_a.text if last.outcome == "a" else last.pair.output_b.text
    assert said == "two"


def test_a_large_file_takes_few_queries(project: Any) -> None:
    def queries(sets: int) -> int:
        text = "".join(
            line(prompt=f"{sets}: {n}?", ranking=[1, 2, 3], annotator=name)
            for n in range(sets)
            for name in ("rater", "scorer")
        )
        with CaptureQueriesContext(connection) as asked:
            assert bring(project, text).rankings == 2 * sets
        return len(asked)

    assert queries(60) < 80


def test_pairs_that_a_file_or_a_ranking_completes_are_told(
    project: Any, owner: Any, settings: Any
) -> None:
    settings.WEBHOOKS_PRIVATE = True
    add_endpoint(
        project=project, by=owner, url="http://127.0.0.1:9/hook", events=["pair.completed"]
    )
    project.refresh_from_db()

    def told() -> list[dict[str, Any]]:
        rows = list(Delivery.objects.order_by("pk").values_list("body", flat=True))
        Delivery.objects.all().delete()
        return [json.loads(row)["data"] for row in rows]

    bring(project, line(ranking=[1, 2, 3], annotator="rater") + line(prompt="Other?"))
    assert sorted(one["pair"] for one in told()) == sorted(
        Pair.objects.values_list("pk", flat=True)
    )
    # the other set wants two people's rankings
    for number in (1, 2):
        rater = factories.make_annotator(project)
        lease = next_set(annotator=rater)
        assert lease is not None
        order = Order(uuid=uuid4(), tiers=[[pk] for pk in lease.shown])
        record_ranking(annotator=rater, output_set=lease.output_set, order=order)
        said = told()
        assert len(said) == (3 if number == 2 else 0)
        assert all(one["judged"] == one["wanted"] == 2 for one in said)


def test_pairs_that_come_with_all_their_votes_are_told(owner: Any, settings: Any) -> None:
    settings.WEBHOOKS_PRIVATE = True
    project = factories.make_project(overlap=2)
    add_endpoint(
        project=project, by=owner, url="http://127.0.0.1:9/hook", events=["pair.completed"]
    )
    project.refresh_from_db()

    def bring_pair(**values: Any) -> None:
        text = json.dumps({"prompt": "Which?", "a": "x", "b": "y", **values})
        import_file(project=project, kind="pairs", data=text.encode(), by=None)

    bring_pair()
    for number, name in enumerate(["rater", "rater", "scorer", "scorer"]):
        bring_pair(outcome="a", annotator=name)
        assert Delivery.objects.count() == (number >= 2)
