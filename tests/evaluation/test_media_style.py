"""A win rate of pictures as it would be, were both files alike."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.services.material import add_output, add_pair
from evaluation.media_style import media_style
from evaluation.models import Comparison, Evaluation
from evaluation.votes import PEOPLE
from steelyard.assets.models import Asset
from steelyard.projects.models import Membership
from tests.factories import make_annotator, make_judgment, make_model, make_project, make_prompt

pytestmark = pytest.mark.django_db


@pytest.fixture
def pictures(owner: Any) -> Evaluation:
    """People like whichever picture is larger, and the new model's are larger on five prompts of
    six."""
    project = make_project(modality="image")
    Membership.objects.create(project=project, user=owner, role="admin")
    base, new = make_model(project, "base"), make_model(project, "new")
    evaluation = Evaluation.objects.create(
        project=project, name="Cats", baseline=base, state="done", ask_people=True, prompt_set={}
    )
    evaluation.candidates.add(new)
    rater = make_annotator(project)
    for number in range(48):
        larger = number % 6 != 0
        likes_new = larger if number % 7 else not larger
        outputs = []
        for model, wide in ((new, larger), (base, not larger)):
            asset = Asset.objects.create(
                project=project,
                sha256=f"{number:032}{model.pk:032}",
                kind="image",
                mime="image/png",
                size=1000,
                width=512 + 256 * wide,
                height=512,
            )
            prompt = outputs[0].prompt if outputs else make_prompt(project)
            outputs.append(add_output(prompt=prompt, model=model, asset=asset))
        pair, _new = add_pair(first=outputs[0], second=outputs[1])
        is_a = pair.output_a_id == outputs[0].pk
        Comparison.objects.create(
            evaluation=evaluation, pair=pair, candidate=new, candidate_is_a=is_a
        )
        make_judgment(pair, "a" if likes_new == is_a else "b", annotator=rater)
    return evaluation


def test_at_equal_resolution_nothing_is_left_of_a_win_that_is_resolutions(
    pictures: Evaluation, owner: Any, as_user: Any
) -> None:
    new = pictures.candidates.get()
    found = media_style(pictures, new.pk, PEOPLE)
    assert found is not None
    assert dict(found.more) == {"resolution": pytest.approx(5 / 6), "file_size": 0.0}
    told = found.controlled
    assert told.raw > 0.65
    assert told.controlled is not None
    assert told.lo is not None
    assert told.hi is not None
    assert told.lo < 0.5 < told.hi
    resolution, size = told.effects
    assert resolution.lo is not None
    assert resolution.lo > 0
    assert size.lo is None
    url = reverse("evaluation:evaluation-detail", args=[pictures.project.slug, pictures.pk])
    page = as_user(owner).get(url).content.decode()
    assert "Were both files alike" in page
    voted = found.voted
    assert voted.lo is not None
    assert voted.hi is not None
    assert voted.rate == told.raw
    assert f"{100 * voted.lo:.1f} % to {100 * voted.hi:.1f} %" in page.split("Were both files")[1]
    assert "More resolution than the baseline’s on 83.3 % of prompts." in page
    assert "never differs" in page
    assert "Were both answers equally long" not in page
