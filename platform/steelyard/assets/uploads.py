"""Looking at a file while it comes in, so that what would be refused anyway is refused at once."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler

from steelyard.assets.probing import sniff
from steelyard.assets.services import check_bytes


class MediaOnly(FileUploadHandler):
    """Refuses at its first bytes what is no media, and at the limit of its kind what is too large.

    Stands before the handlers that keep the bytes, and hands them on as they are.
    """

    form = ""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start == 0:
            self.form = sniff(raw_data[:64])
        check_bytes(self.form, start + len(raw_data))
        return raw_data

    def file_complete(self, file_size: int) -> Any:
        """None: the next handler has the file."""
        return None
