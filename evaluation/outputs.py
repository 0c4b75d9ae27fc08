"""What runs that let models answer have in common: what the engine is asked, and its outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from annotation.models import Output, Prompt
from annotation.services.material import add_output
from evaluation.models import OutputRecord, OutputUsage
from evaluation.sampling import sampling_used
from steelyard.assets.services import blob_path, store_upload
from steelyard.lib.files import place_file
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run


def asked_of(run: Run, models: Sequence[ModelVersion], prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Models and prompts for run.json; the files that prompts are about lie in its folder then."""
    for sha256 in {one for prompt in prompts for one in prompt.media}:
        place_file(blob_path(sha256), run.dir.media / sha256)
    return {
        "kind": "generate",
        # what is asked for besides goes before it
        "models": [{**model.as_spec(), "sampling": sampling_used(model, {})} for model in models],
        "prompts": [
            {"key": prompt.key, "messages": prompt.messages}
            | ({"media": prompt.media} if prompt.media else {})
            for prompt in prompts
        ],
    }


def lines_of(run: Run) -> Iterator[dict[str, Any]]:
    """What the engine made so far, whole lines alone: one that was killed may have left half a
    line. Nothing where nothing had to be made."""
    path = run.dir.path / "outputs.jsonl"
    if not path.exists():
        return
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.endswith("\n"):
                yield json.loads(line)


def store_output(run: Run, line: dict[str, Any], prompt: Prompt, model: ModelVersion) -> Output:
    """Again is the same: an output is known by its content."""
    asset = None
    if line.get("media"):
        asset = store_upload(project=run.project, data=run.dir.path / line["media"])
    output = add_output(
        prompt=prompt,
        model=model,
        text=line.get("text") or "",
        asset=asset,
        seed=line["seed"],
        parameters=line["parameters"],
    )
    if line.get("record"):
        OutputRecord.objects.get_or_create(output=output, defaults={"turns": line["record"]})
    if line.get("usage"):
        OutputUsage.objects.get_or_create(output=output, defaults=line["usage"])
    return output
