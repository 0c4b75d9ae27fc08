"""The columns of Parquet files whose rows say themselves what they have: learnt batch by batch,
since a later row may have more than the first ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.base import MediaFile

FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""A file in the form that ``datasets`` reads as Image or Video."""


class Columns:
    """What is known of the columns so far; files that belong together share it."""

    def __init__(self) -> None:
        self._kinds: dict[str, pa.DataType] = {}
        self._features: dict[str, str] = {}

    def learn(self, rows: list[dict[str, Any]]) -> bool:
        """Whether these rows have more than was known."""
        before = dict(self._kinds)
        for name in dict.fromkeys(name for row in rows for name in row):
            values = [row.get(name) for row in rows]
            kind = self._kind_of_files(name, values) or pa.array(values).type
            self._kinds[name] = _both(self._kinds.get(name, pa.null()), kind)
        return before != self._kinds

    def schema(self) -> pa.Schema:
        """What is null throughout is of texts."""
        return pa.schema(
            file_field(name, self._features[name], many=pa.types.is_list(kind))
            if name in self._features
            else pa.field(name, _said(kind))
            for name, kind in self._kinds.items()
        )

    def _kind_of_files(self, name: str, values: list[Any]) -> pa.DataType | None:
        file = next((file for value in values for file in _files(value)), None)
        if file is None:
            return None
        self._features[name] = "Video" if file.mime.startswith("video/") else "Image"
        return pa.list_(FILE) if any(isinstance(value, list) for value in values) else FILE


def file_field(name: str, feature: str, *, many: bool = False) -> pa.Field:
    """A Parquet column of files: ``Image`` or ``Video`` to ``datasets``; a list of them if many."""
    kind = pa.list_(FILE) if many else FILE
    return pa.field(name, kind, metadata={"feature": feature})


def for_datasets(schema: pa.Schema) -> pa.Schema:
    """The schema with what ``datasets`` reads its columns as; only needed where there are files."""
    if not any((field.metadata or {}).get(b"feature") for field in schema):
        return schema.with_metadata({})
    features = {field.name: _feature(field.type, field.metadata) for field in schema}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _files(value: Any) -> Iterator[MediaFile]:
    cells = value if isinstance(value, list) else [value]
    return (cell for cell in cells if isinstance(cell, MediaFile))


def _both(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The kind that holds values of both."""
    if one == other:
        return one
    schemas = [pa.schema([("x", kind)]) for kind in (one, other)]
    return pa.unify_schemas(schemas, promote_options="permissive").field("x").type


def _said(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_said(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _said(field.type)) for field in kind])
    return kind


def _feature(kind: pa.DataType, metadata: dict[bytes, bytes] | None = None) -> Any:
    """As ``datasets`` writes it; a list in brackets is understood by its old and new versions."""
    if pa.types.is_list(kind):
        return [_feature(kind.value_type, metadata)]
    if metadata and b"feature" in metadata:
        return {"_type": metadata[b"feature"].decode()}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    names = {"double": "float64", "float": "float32"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
