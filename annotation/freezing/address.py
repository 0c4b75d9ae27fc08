"""Where the database of this process is, for those who connect to it beside Django."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from django.db import connection


def database_url() -> str:
    """Of the database that this process is connected to."""
    said = connection.settings_dict
    where = {"host": str(said["HOST"])} if str(said["HOST"]).startswith("/") else {}
    host = "" if where else f"{said['HOST']}"
    port = f":{said['PORT']}" if said["PORT"] else ""
    people = quote(said["USER"], safe="")
    if said["PASSWORD"]:
        people += f":{quote(said['PASSWORD'], safe='')}"
    options = {k: str(v) for k, v in said["OPTIONS"].items() if k in {"host", "sslmode"}} | where
    query = f"?{urlencode(options)}" if options else ""
    return f"postgres://{people}@{host}{port}/{quote(said['NAME'], safe='')}{query}"
