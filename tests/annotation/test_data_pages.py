"""What staff see of a project's material, and bringing it in."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from annotation.models import Judgment, Pair, Prompt, Retrieved
from tests import factories


def url(name: str, project: Any, *arguments: Any) -> str:
    return reverse(f"annotation:{name}", args=[project.slug, *arguments])


def line(**values: Any) -> str:
    return json.dumps({"prompt": "Why?", "a": "So.", "b": "Thus.", **values})


def test_a_pasted_pair_is_imported(project: Any, owner: Any, as_user: Any) -> None:
    vote = {"outcome": "a", "annotator": "rater"}
    said = {"kind": "pairs", "text": line(**vote) + "\n" + line(prompt="Who?")}
    answer = as_user(owner).post(url("import", project), said, follow=True)
    assert "2 lines read. New: 2 pairs, 2 prompts, 1 judgment." in answer.content.decode()
    assert Pair.objects.count() == 2


@pytest.mark.parametrize("who", ["member", "admin of the site"])
@pytest.mark.parametrize("kind", ["person", "judge"])
def test_nobody_who_may_label_here_is_voted_for_by_a_file(
    project: Any, owner: Any, as_user: Any, who: str, kind: str
) -> None:
    if who == "member":
        user = factories.make_user("rater", project=project)
    else:
        user = factories.make_user("rater", superuser=True)
    said = {
        "kind": "pairs",
        "text": line() + "\n" + line(outcome="a", annotator="rater", kind=kind),
    }
    page = as_user(owner).post(url("import", project), said).content.decode()
    assert "Line 2: the name “rater” belongs to somebody who judges in this project here" in page
    assert "Give the annotator another name, such as “rater, from a file”." in page
    assert not Pair.objects.exists()
    assert as_user(user).get(url("label", project)).status_code == 200


def test_votes_in_the_name_of_a_stranger_who_joins_later_lock_nobody_out(
    project: Any, owner: Any, stranger: Any, as_user: Any
) -> None:
    said = {"kind": "pairs", "text": line(outcome="a", annotator=stranger.username)}
    as_user(owner).post(url("import", project), said)
    pair = factories.make_pair(project)
    project.memberships.create(user=stranger, role="annotator")
    assert f'data-pair="{pair.pk}"' in as_user(stranger).get(url("label", project)).content.decode()
    again = as_user(owner).post(url("import", project), said, follow=True)
    assert "0 judgments" in again.content.decode()
    assert Judgment.objects.count() == 1


def test_a_name_is_a_persons_or_a_judges(project: Any, owner: Any, as_user: Any) -> None:
    factories.make_annotator(project, "robot", kind="judge")
    said = {"kind": "pairs", "text": line(outcome="a", annotator="robot")}
    page = as_user(owner).post(url("import", project), said).content.decode()
    assert "“robot” is the name of an AI judge in this project" in page


def test_one_of_a_thing_is_not_called_many(project: Any, owner: Any, as_user: Any) -> None:
    said = {"kind": "pairs", "text": line()}
    page = as_user(owner).post(url("import", project), said, follow=True).content.decode()
    assert "1 line read. New: 1 pair, 1 prompt, 0 judgments." in page


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pairs", "2 lines read. New: 2 pairs, 2 prompts, 1 judgment."),
        ("held_out", "2 prompts read, 2 of them new."),
    ],
)
def test_the_example_on_the_page_can_be_pasted(
    project: Any, owner: Any, as_user: Any, kind: str, words: str
) -> None:
    page = as_user(owner).get(url("import", project)).content.decode()
    shown = re.search(rf'id="example-{kind}"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert shown
    said = {"kind": kind, "text": html.unescape(shown[1])}
    assert words in as_user(owner).post(url("import", project), said, follow=True).content.decode()


def test_an_uploaded_file_of_held_out_prompts_is_imported(
    project: Any, owner: Any, as_user: Any
) -> None:
    file = SimpleUploadedFile("prompts.jsonl", b'{"prompt": "One?"}\n{"prompt": "Two?"}\n')
    said = {"kind": "held_out", "file": file}
    answer = as_user(owner).post(url("import", project), said, follow=True)
    assert "2 prompts read, 2 of them new." in answer.content.decode()
    assert Prompt.objects.filter(held_out=True).count() == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line() + "\n{nonsense", "Line 2 is not JSON"),
        (line() + "\n" + line(colour=1), "Line 2: there is no key “colour”"),
        (line() + "\n\n" + line(outcome="left", annotator="x"), "Line 3: “outcome” is “left”"),
        ("", "Choose a file, or paste the lines below."),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_stored(
    project: Any, owner: Any, as_user: Any, text: str, message: str
) -> None:
    answer = as_user(owner).post(url("import", project), {"kind": "pairs", "text": text})
    page = answer.content.decode()
    assert message in page
    assert not Pair.objects.exists()
    if text:
        assert "nonsense" in page or "Why?" in page  # what was pasted is still there


def test_a_file_and_a_paste_at_once_are_refused(project: Any, owner: Any, as_user: Any) -> None:
    file = SimpleUploadedFile("x.jsonl", line().encode())
    said = {"kind": "pairs", "file": file, "text": line()}
    answer = as_user(owner).post(url("import", project), said)
    assert "not both" in answer.content.decode()


@pytest.fixture
def voted(project: Any) -> dict[str, Any]:
    """A pair with a person's and a judge's vote, and one without."""
    prompt = factories.make_prompt(project, 'Say "hi"', category="chat")
    pair = factories.make_pair(project, prompt=prompt, models=("small", "large"))
    plain = factories.make_pair(project, models=("small", "other"))
    judge = factories.make_annotator(project, "robot", kind="judge")
    person = factories.make_annotator(project, "rater")
    factories.make_judgment(pair, "a", annotator=person, rationale="=1+1", tags=["clear"])
    orders = [
        {"swapped": False, "raw": "A is it", "outcome": "b"},
        {"swapped": True, "raw": "B is it", "outcome": "a"},
    ]
    factories.make_judgment(pair, "b", annotator=judge, details={"orders": orders})
    return {"pair": pair, "plain": plain, "judge": judge, "person": person}


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ("", 2),
        ("by=people", 1),
        ("by=judges", 1),
        ("outcome=a", 1),
        ("category=chat", 2),
        ("category=none", 2),  # an unknown one filters nothing, and says so
        ("annotator={person}", 1),
        ("model={small}&by=judges", 1),
        ("model={other}", 0),
        ("run=77", 0),
    ],
)
def test_judgments_are_filtered_by_the_address(
    project: Any, owner: Any, as_user: Any, voted: dict[str, Any], query: str, n: int
) -> None:
    models = {m.name: m.pk for m in project.models.all()}
    query = query.format(person=voted["person"].pk, **models)
    answer = as_user(owner).get(f"{url('judgment-list', project)}?{query}")
    assert answer.context["page"].paginator.count == n
    table = as_user(owner).get(f"{url('judgment-download', project)}?{query}")
    rows = list(csv.DictReader(io.StringIO(table.getvalue().decode())))
    assert len(rows) == n
    if query == "by=people":
        assert rows[0]["rationale"] == "'=1+1"
        assert rows[0]["prompt"] == 'Say "hi"'


def test_a_vote_in_the_list_says_which_side_its_reason_calls_a(
    project: Any, owner: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project)
    for swapped, told in ((True, "b"), (False, "a"), (None, "unknown")):
        vote = factories.make_judgment(pair, "b", rationale="A is shorter.", swapped=swapped)
        asked = {"annotator": vote.annotator_id}
        page = as_user(owner).get(url("judgment-list", project), asked).content.decode()
        assert "its A is the side that was shown first" in page
        assert re.search(rf"<td>{told}\s*</td>", page)


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ("", 2),
        ('q=say "HI"', 1),
        ("q=user", 0),
        ("category=chat", 1),
        ("state=open", 1),
        ("state=complete", 1),
        ("origin=evaluation", 0),
        ("model={large}", 1),
    ],
)
def test_pairs_are_filtered_by_the_address(
    project: Any, owner: Any, as_user: Any, voted: dict[str, Any], query: str, n: int
) -> None:
    models = {m.name: m.pk for m in project.models.all()}
    answer = as_user(owner).get(f"{url('pair-list', project)}?{query.format(**models)}")
    assert answer.context["page"].paginator.count == n


def test_a_pair_shows_votes_of_people_and_judges_apart(
    project: Any, owner: Any, as_user: Any, voted: dict[str, Any]
) -> None:
    page = as_user(owner).get(url("pair-detail", project, voted["pair"].pk)).content.decode()
    people, judges = page.index("<h2>People</h2>"), page.index("<h2>AI judges</h2>")
    assert people < page.index("=1+1") < judges < page.index("B is it")
    assert "small" in page
    assert "large" in page


def test_judges_show_how_far_they_agree(
    project: Any, owner: Any, as_user: Any, voted: dict[str, Any]
) -> None:
    orders = [{"swapped": False, "outcome": "a"}, {"swapped": True, "outcome": "a"}]
    plain, judge = voted["plain"], voted["judge"]
    for outcome in ("a", "tie", "skip"):
        factories.make_judgment(plain, outcome)
    factories.make_judgment(plain, "a", annotator=judge, details={"orders": orders})
    answer = as_user(owner).get(url("judge-list", project))
    [report] = answer.context["reports"]
    assert (report.with_people.equal, report.with_people.n) == (1, 3)
    assert (report.between_orders.equal, report.between_orders.n) == (1, 2)
    assert (report.votes, report.unreadable) == (2, 0)
    among = answer.context["among_people"]
    assert (among.equal, among.n) == (0, 1)


def test_prompts_are_filtered_by_use(project: Any, owner: Any, as_user: Any) -> None:
    factories.make_prompt(project, held_out=True)
    factories.make_pair(project)
    for use, n in (("", 2), ("held_out", 1), ("label", 1)):
        answer = as_user(owner).get(f"{url('prompt-list', project)}?use={use}")
        assert answer.context["page"].paginator.count == n


def test_a_judge_is_made_and_asked(
    project: Any, owner: Any, as_user: Any, django_capture_on_commit_callbacks: Any
) -> None:
    model = factories.make_model(project, "writer", family="endpoint", source="http://x/v1")
    factories.make_pair(project)
    said = {
        "name": "Robot",
        "model": model.pk,
        "criteria": "Be right.",
        "temperature": 0,
        "max_new_tokens": 64,
        "orders": "both",
        "samples": 1,
        "max_side": 512,
        "frames": 4,
    }
    client = as_user(owner)
    answer = client.post(url("judge-new", project), said)
    judge = project.annotators.get(kind="judge")
    assert answer["Location"] == url("judge-run", project, judge.pk)
    assert "called “Robot” already" in client.post(url("judge-new", project), said).content.decode()

    answer = client.post(url("judge-run", project, judge.pk), {"which": "unjudged", "limit": 0})
    run = project.runs.get(kind="judge")
    assert answer["Location"] == run.get_absolute_url()
    nothing = client.post(url("judge-run", project, judge.pk), {"which": "labelled", "limit": 0})
    assert "no pair left" in nothing.content.decode()


def test_lists_stay_quick_however_many_rows_a_page_has(
    project: Any, owner: Any, as_user: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        factories.make_judgment(factories.make_pair(project), "a")
    client = as_user(owner)
    for name in ("pair-list", "judgment-list", "prompt-list"):
        with django_assert_max_num_queries(18):
            client.get(url(name, project))
    assert Judgment.objects.count() == 30


def test_a_pair_of_queries_shows_what_was_found_for_each(
    project: Any, owner: Any, member: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project)
    at = url("pair-detail", project, pair.pk)
    assert "What a search has found" not in as_user(owner).get(at).content.decode()
    passages = [{"text": "The <long> arm.", "score": 12.34567}, {"text": "A load.", "score": 3}]
    Retrieved.objects.create(output=pair.output_b, passages=passages)
    page = as_user(owner).get(at).content.decode()
    found = page[page.index('id="found-a"') : page.index('id="found-b"')]
    assert "0 passages for" in found
    assert "Nothing was found" in found
    found = page[page.index('id="found-b"') :]
    assert found.index("12.3457") < found.index("A load.")
    assert "The &lt;long&gt; arm." in found
    assert as_user(member).get(at).status_code == 404
