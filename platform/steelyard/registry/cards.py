"""What goes beside a version's files: a dataset card as the Hugging Face hub reads it, and the same
as Croissant metadata (http://mlcommons.org/croissant/1.0). English, as such cards are."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import override

from steelyard.lib.records import SCHEMA, SCHEMA_OF_SEVERAL
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion
from steelyard.registry.statistics import statistics
from steelyard.registry.words import counts_in_words, projects_in_words, recipe_in_words

_TASKS = {"text": "text-generation", "image": "text-to-image", "video": "text-to-video"}
_SIZES = [
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
]
COLUMNS = {
    "pair": "SHA-256 of the prompt and both answers.",
    "prompt_key": "SHA-256 of the prompt.",
    "category": "The prompt's category.",
    "modality": "text, image or video.",
    "prompt": "Chat messages: role and content.",
    "chosen": "Text of the answer that was preferred; empty for media.",
    "rejected": "Text of the other answer; empty for media.",
    "chosen_media": "SHA-256 of the preferred answer's file; empty for text.",
    "rejected_media": "SHA-256 of the other answer's file; empty for text.",
    "chosen_model": "What made the preferred answer.",
    "rejected_model": "What made the other answer.",
    "outcome": "win, tie or both_bad.",
    "chosen_side": "Which of the pair's sides, a or b, is the chosen one.",
    "strength": "Mean strength of the votes for the chosen one, 0 to 3.",
    "agreement": "Share of the votes for the outcome, 0 to 1.",
    "weight": "How much the row counts.",
    "aspects": "JSON: mean signed strength by aspect; negative favours side a.",
    "rationales": "Why: annotator, text, tags and evidence (JSON).",
    "votes": "The votes: judgment, annotator, kind, outcome (of the pair's sides) and strength.",
    "split": "train or test; no prompt is in both.",
    "prompt_media": "SHA-256 of the files that the prompt is about.",
    "segments": "JSON: verdicts on parts of a video.",
    "reference_answer": "What the prompt's author holds to be right; empty where nobody said.",
    "machine_rationales": "Why chosen is better, as models say it of people's verdict (JSON); "
    "null where there is none.",
}
_PROJECT = "The labelling project that gave the row."


def readme(version: DatasetVersion) -> str:
    """``README.md`` with its YAML front matter."""
    with override("en"):
        lines = [*_front(version), "", f"# {version}", "", *_about(version), ""]
        lines += ["## How it was made", ""]
        lines += [f"- {sentence}" for sentence in recipe_in_words(version.recipe)]
        lines += [f"- {s}" for s in projects_in_words(version.manifest.get("projects", ()))]
        lines += _licences(version)
        lines += ["", "## What is in it", ""]
        lines += [f"- {count} {words}" for count, words in counts_in_words(version.counts)]
        lines += ["", "## What it is like", "", *_like(statistics(version)), ""]
        lines += ["## Columns", ""]
        lines += [f"- `{name}`: {words}" for name, words in _columns(version).items()]
        lines += ["", "## Identity", "", f"- Digest: `{version.digest}`"]
        lines += [
            f"- Rows: `{version.manifest['rows_sha256']}` (SHA-256 of the rows as JSON lines)"
        ]
    return "\n".join(lines) + "\n"


def _front(version: DatasetVersion) -> list[str]:
    rows = version.counts["rows"]
    size = next((name for most, name in _SIZES if rows < most), "n>10M")
    # a JSON string is a YAML string
    return [
        "---",
        f"pretty_name: {json.dumps(str(version), ensure_ascii=False)}",
        f"license: {_licence(version)}",
        "task_categories:",
        f"- {_TASKS[version.project.modality]}",
        "tags:",
        "- preference",
        "- human-feedback",
        "- dpo",
        "size_categories:",
        f"- {json.dumps(size)}",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: rows",
        '    path: "data/*.parquet"',
        "---",
    ]


def _columns(version: DatasetVersion) -> dict[str, str]:
    return COLUMNS | ({"project": _PROJECT} if version.recipe.get("projects") else {})


def licences(version: DatasetVersion) -> dict[str, str]:
    """What each project that gave rows says today of the use of its data, by its name in URLs."""
    slugs = version.recipe.get("projects", [version.project.slug])
    said = dict(Project.objects.filter(slug__in=slugs).values_list("slug", "license"))
    return {slug: said.get(slug) or "unknown" for slug in slugs}


def _licence(version: DatasetVersion) -> str:
    """One word for all, as the hub wants it: “other” where they differ, and the card says more."""
    said = set(licences(version).values())
    return said.pop() if len(said) == 1 else "other"


def _licences(version: DatasetVersion) -> list[str]:
    """Nothing of a version of one project, whose licence the front matter names."""
    said = licences(version)
    if len(said) == 1:
        return []
    lines = ["", "## Licences", ""]
    if len(set(said.values())) > 1:
        lines += [
            "The projects give their data under different licences: each row is under that of its "
            "`project`.",
            "",
        ]
    return lines + [f"- `{slug}`: {licence}" for slug, licence in said.items()]


def _about(version: DatasetVersion) -> list[str]:
    lines = [
        f"Version {version.number} of the dataset “{version.dataset.name}”: preferences between "
        f"two answers to a prompt ({version.project.modality}), frozen on "
        f"{version.created_at:%Y-%m-%d} with all the votes behind them.",
        "The column `split` says which rows are for training and which for testing.",
    ]
    lines += [f"> {line}" for line in [version.note] if line]
    return lines


def _like(found: dict[str, Any]) -> list[str]:
    lines = []
    if length := found["length"]:
        lines.append(
            f"- The longer answer won in {length['longer'] / length['rows']:.1%} of "
            f"{length['rows']} rows (chosen {length['chosen']:g}, rejected "
            f"{length['rejected']:g} characters on average)."
        )
    if (position := found["position"]) and position["of"]:
        lines.append(
            f"- The answer shown first was preferred in {position['first'] / position['of']:.1%} "
            f"of {position['of']} votes of people."
        )
    full = found["agreement"][-1][1]
    rows = sum(n for _, n in found["agreement"])
    lines.append(f"- All votes agree in {full / max(rows, 1):.1%} of the rows.")
    lines += [f"- Category {name or '(none)'}: {n} rows" for name, n in found["by"]["category"]]
    return lines


def croissant(version: DatasetVersion, url: str = "") -> dict[str, Any]:
    """JSON-LD.

    Args:
        url: where the version's page is.
    """
    files = [
        {
            "@type": "cr:FileObject",
            "@id": file["name"],
            "name": file["name"],
            "contentUrl": f"data/{file['name']}",
            "contentSize": f"{file['size']} B",
            "encodingFormat": PARQUET,
            "sha256": file["sha256"],
        }
        for file in version.manifest["files"]
    ]
    # a version of earlier days has fewer columns
    there = pq.read_schema(version.parquet).names if not version.lost else SCHEMA.names
    shards = {
        "@type": "cr:FileSet",
        "@id": "rows",
        "name": "rows",
        "includes": "data/*.parquet",
        "encodingFormat": PARQUET,
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": version.dataset.slug,
        "description": " ".join(_about(version)),
        "license": _licence(version),
        "url": url,
        "version": f"{version.number}.0.0",
        "datePublished": f"{version.created_at:%Y-%m-%d}",
        "citeAs": f"{version}, {version.digest}",
        "sameAs": f"urn:sha256:{version.digest}",
        "distribution": [*files, shards],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "preferences",
                "name": "preferences",
                "field": [_field(field) for field in SCHEMA_OF_SEVERAL if field.name in there],
            }
        ],
    }


def _field(field: pa.Field) -> dict[str, Any]:
    said: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"preferences/{field.name}",
        "name": field.name,
        "description": COLUMNS.get(field.name, _PROJECT),
    }
    kind = field.type
    if pa.types.is_list(kind):
        said["repeated"] = True
        kind = kind.value_type
    source = {"fileSet": {"@id": "rows"}, "extract": {"column": field.name}}
    if pa.types.is_struct(kind):
        said["subField"] = [
            {
                "@type": "cr:Field",
                "@id": f"preferences/{field.name}/{part.name}",
                "name": part.name,
                "dataType": _type(part.type),
                "source": {**source, "transform": {"jsonPath": part.name}},
            }
            for part in kind
        ]
        return said
    return {**said, "dataType": _type(kind), "source": source}


def _type(kind: pa.DataType) -> str:
    if pa.types.is_floating(kind):
        return "sc:Float"
    return "sc:Integer" if pa.types.is_integer(kind) else "sc:Text"


PARQUET = "application/x-parquet"
"""What Croissant's own reader knows Parquet by; the registered media type it does not know."""
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
