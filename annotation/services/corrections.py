"""Better answers that annotators write: each becomes an output that others compare."""

from __future__ import annotations

from annotation.models import Annotator, Flag, Judgment, Output, Pair
from annotation.services.material import add_output, add_pair
from steelyard.projects.models import Project
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.registry.services import register_model

PEOPLE = "people"
"""The model version in whose name people's answers stand."""


def keep_correction(*, annotator: Annotator, pair: Pair, text: str) -> Output:
    """The annotator's better answer as an output, and its pairs with both sides, made where they
    are not there yet. The caller holds a transaction.

    The pairs want the project's overlap and go to the group that the pair is kept for; the queue
    never gives them to their author. The author's name is among the parameters, so that two people
    who write the same are two authors.
    """
    project = annotator.project
    output = add_output(
        prompt=pair.prompt,
        model=_people(project),
        text=text,
        parameters={"written_by": annotator.name},
    )
    if output.author_id is None:
        output.author = annotator
        output.save(update_fields=["author"])
    for side in (pair.output_a, pair.output_b):
        made, created = add_pair(
            first=output, second=side, origin=Pair.Origin.CORRECTION, wanted=project.overlap
        )
        if created and pair.group_id:
            Pair.objects.filter(pk=made.pk).update(group=pair.group_id)
        elif not created and not made.flags.filter(state=Flag.State.REMOVED).exists():
            Pair.objects.filter(pk=made.pk).update(closed=False)  # withdrawn once, written again
    return output


def withdraw_correction(*, output: Output) -> None:
    """Its author has written another or none: pairs with it that nobody has judged are wanted no
    more. What was judged stays. The caller holds a transaction."""
    if Judgment.objects.current().filter(correction=output).exists():
        return
    # a pair that somebody is looking at at this moment keeps its place, so that no verdict is lost
    idle = Pair.objects.filter(prompt=output.prompt_id, origin=Pair.Origin.CORRECTION, judged=0)
    idle = idle.filter(assignments=None)
    for side in ("output_a", "output_b"):
        idle.filter(**{side: output}).update(closed=True)


def _people(project: Project) -> ModelVersion:
    known = ModelVersion.objects.filter(
        project=project, name=PEOPLE, family=ModelFamily.IMPORTED
    ).first()
    return known or register_model(
        project=project, name=PEOPLE, modality=project.modality, family=ModelFamily.IMPORTED
    )
