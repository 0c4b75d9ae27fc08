"""AlpacaEval's estimator on an evaluation's page, with the file that its authors publish."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from math import cos, exp, sin, tanh
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from annotation.formats import FORMATS
from annotation.formats.rows import Row
from annotation.models import Judgment, Prompt
from annotation.services.importing import import_records
from evaluation import gamed
from evaluation.gamed import give_gamed
from evaluation.length import length
from evaluation.models import Evaluation, GamedFile, PromptSet
from evaluation.prompt_sets import set_from_file
from evaluation.votes import votes_of
from steelyard.lib.errors import UserError
from steelyard.registry.models import ModelVersion

pytestmark = pytest.mark.django_db
PROMPTS = 40
# alpaca-eval 0.6.6 (scikit-learn 1.9.1) on just these annotations and gamed rows:
# length_controlled_v1, _noreg and _minimal
THEIRS = {"full": 42.9164, "reduced": 41.2843}
RAW = 42.0462
"""Of its ``win_rate``."""


def odds(x: float) -> float:
    return 1.0 / (1.0 + exp(-x))


def gamed_file(prompts: int = PROMPTS) -> str:
    """Rows by formula, as the authors' file has them."""
    text = io.StringIO()
    out = csv.writer(text)
    names = ("preference", "index", "std_delta_len", "instruction_difficulty", "model")
    out.writerow(names)
    for version, (shift, level) in enumerate(((-1.1, -0.35), (1.0, 0.2))):
        for at in range(prompts):
            hard = round(1.2 * sin(1.7 * at), 6)
            delta = round(shift + cos(2.3 * at + version), 6)
            logit = level - 1.6 * tanh(delta) + 0.75 * hard + 1.5 * sin(5.1 * at + version)
            name = ("base_concise", "base_verbose")[version]
            out.writerow((round(odds(logit), 6), at, delta, hard, name))
    return text.getvalue()


def annotation(at: int, model: str = "new", shift: float = 0.0) -> dict[str, Any]:
    preference = round(1 + odds(shift - 0.4 + 0.9 * sin(1.7 * at) + 0.8 * cos(3.3 * at)), 6)
    return {
        "instruction": f"Question {at}?",
        "generator_1": "base",
        "output_1": "b" * (200 + 10 * (at % 7)),
        "generator_2": model,
        "output_2": "n" * (140 + 17 * (at % 11) + (model != "new")),
        "annotator": "weighted",
        "preference": {3: 1.5, 8: None}.get(at, preference),
    }


@pytest.fixture
def brought(project: Any, owner: Any) -> Callable[..., Evaluation]:
    """Annotations of AlpacaEval as they are brought in, and an evaluation on a set of their
    prompts."""

    def bring(model: str = "new", shift: float = 0.0) -> Evaluation:
        read = FORMATS["alpaca_eval"].read
        rows = [annotation(at, model, shift) for at in range(PROMPTS)]
        records = [
            one for at, row in enumerate(rows, 1) for one in read(Row(at, row, f"Line {at}"))
        ]
        import_records(project=project, records=records, by=owner)
        found = PromptSet.objects.filter(project=project).first() or set_from_file(
            project=project,
            name="Bench",
            data="\n".join(f'{{"prompt": "Question {at}?"}}' for at in range(PROMPTS)).encode(),
            filename="bench.jsonl",
            by=owner,
        )
        models = {one.name: one for one in ModelVersion.objects.filter(project=project)}
        made = Evaluation.objects.create(
            project=project,
            name=model,
            baseline=models["base"],
            ask_people=False,
            preset="alpaca_eval",
            state="comparing",
            prompt_set={"source": "set", "set": found.pk},
        )
        made.candidates.set([models[model]])
        # not in the benchmark's order: the folds go by it all the same
        for prompt in Prompt.objects.filter(project=project).order_by("-pk"):
            pair = prompt.pairs.get(
                output_a__model__in=[models["base"], models[model]],
                output_b__model__in=[models["base"], models[model]],
            )
            is_a = pair.output_a.model_id == models[model].pk
            made.comparisons.create(pair=pair, candidate=models[model], candidate_is_a=is_a)
        return made

    return bring


def rate_of(evaluation: Evaluation) -> Any:
    votes = votes_of(evaluation)
    (source,) = votes.judges
    found = length(evaluation, votes, evaluation.candidates.get().pk, source)
    assert found is not None
    return found.theirs


def test_imported_comparisons_have_the_figure_of_alpaca_eval_with_its_file(
    brought: Any, project: Any, owner: Any, as_user: Any
) -> None:
    evaluation = brought()
    assert Judgment.objects.get(pair__prompt__messages__0__content="Question 3?").details == {
        "p_a": 0.5
    }
    reduced = rate_of(evaluation)
    assert (reduced.terms, reduced.by_odds) == ("reduced", True)
    assert 100 * reduced.fitted.raw == pytest.approx(RAW, abs=1e-3)
    assert 100 * reduced.rate == pytest.approx(THEIRS["reduced"], abs=0.05)
    client = as_user(owner)
    prompt_set = PromptSet.objects.get()
    assert "AlpacaEval’s file of gamed rows" in client.get(prompt_set.get_absolute_url()).text
    url = reverse("evaluation:prompt-set-gamed-rows", args=[project.slug, prompt_set.pk])
    file = SimpleUploadedFile("df_gamed.csv", gamed_file().encode())
    page = client.post(url, {"file": file}, follow=True).content.decode()
    assert "80 rows of base_concise, base_verbose" in page
    full = rate_of(evaluation)
    assert (full.terms, full.strange) == ("full", False)
    assert 100 * full.rate == pytest.approx(THEIRS["full"], abs=0.05)
    page = client.get(evaluation.get_absolute_url()).content.decode()
    assert (
        page.count("as its authors define it") == 2
    )  # beside our own, and in the protocol's table
    told = client.get(f"/api/v1/projects/{project.slug}/evaluations/{evaluation.pk}/length").json()
    assert told[0]["alpaca_eval"]["win_rate"] == pytest.approx(full.rate)
    lo, hi = told[0]["raw_lo"], told[0]["raw_hi"]
    assert lo < told[0]["raw"] < hi
    table = page.split("Were both answers equally long")[1]
    assert f"{100 * lo:.1f} % to {100 * hi:.1f} %" in table
    assert (told[0]["judge"], told[0]["prompts"]) == ("weighted", PROMPTS - 1)
    client.post(url, {"take": "1"})
    assert rate_of(evaluation).terms == "reduced"


def test_difficulties_are_made_of_models_judged_on_the_same_set(
    brought: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gamed, "MODELS", 3)
    evaluation = brought()
    brought("second", 0.8)
    assert rate_of(evaluation).terms == "reduced"
    brought("third", -0.6)
    made = rate_of(evaluation)
    assert (made.terms, made.given.models) == ("difficulty", 3)
    assert made.fitted.difficulty > 0
    assert "3 models" in made.words


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("preference,index\n1,2\n", "no column std_delta_len"),
        (gamed_file(39), "39 prompts, numbered 0 to 38, and this set has 40"),
        (gamed_file().replace("0.452511,0,", "much,0,"), "line 2: preference is 'much'"),
        (gamed_file().replace("0.452511,0,", "1.452511,0,"), "line 2: preference is 1.45251"),
        (gamed_file().replace("0.452511,0,", "0.452511,,"), "line 2: index is 'empty'"),
        ("preference,index,std_delta_len,instruction_difficulty\n", "no rows"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_file_that_is_none_is_refused_with_what_is_wrong(
    project: Any, data: str | bytes, said: str
) -> None:
    found = set_from_file(
        project=project,
        name="Bench",
        data="\n".join(f'{{"prompt": "Question {at}?"}}' for at in range(PROMPTS)).encode(),
        filename="bench.jsonl",
        by=None,
    )
    with pytest.raises(UserError, match=said):
        give_gamed(
            prompt_set=found,
            data=data if isinstance(data, bytes) else data.encode(),
            filename="x.csv",
            by=None,
        )
    assert not GamedFile.objects.exists()


def test_only_admins_give_the_file(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    lines = "".join(f'{{"prompt": "Question {at}?"}}\n' for at in range(PROMPTS))
    found = set_from_file(
        project=project, name="Bench", data=lines.encode(), filename="b.jsonl", by=None
    )
    api = f"/api/v1/projects/{project.slug}/prompt-sets/{found.pk}/gamed-rows"
    page = reverse("evaluation:prompt-set-gamed-rows", args=[project.slug, found.pk])
    for who in (member, stranger):
        client = as_user(who)
        body = {"lines": gamed_file()}
        assert client.put(api, body, content_type="application/json").status_code == 404
        assert client.delete(api).status_code == 404
        assert client.post(page, {"take": "1"}).status_code == 404
    project.memberships.filter(user=member).update(role="researcher")
    client = as_user(member)
    assert client.post(page, {"take": "1"}).status_code == 404
    assert "An admin of the project can give the file." in client.get(found.get_absolute_url()).text
    client = as_user(owner)
    told = client.put(api, {"lines": gamed_file()}, content_type="application/json").json()
    assert told["gamed_rows"]["rows"] == 2 * PROMPTS
    assert client.delete(api).status_code == 204
    assert not GamedFile.objects.exists()
