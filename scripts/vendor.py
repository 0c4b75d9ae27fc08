"""``make vendor``: fetch the pages' libraries by ``npm ci`` and copy what is served.

Versions stand in ``package.json``, their hashes in ``package-lock.json``. The copies are committed
together with their licences and ``manifest.json``, so that running Steelyard needs no Node. To
update one: change its version, ``npm install --package-lock-only``, ``make vendor``, run the tests.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "static" / "vendor"

# package: (what is served: {name here: path in the package}, its licence text in the package);
# a name that ends with * is a folder for all files of a pattern
FILES = {
    "@picocss/pico": ({"pico.min.css": "css/pico.min.css"}, "LICENSE.md"),
    "diff": ({"diff.min.js": "dist/diff.min.js"}, "LICENSE"),
    "htmx.org": ({"htmx.min.js": "dist/htmx.min.js"}, "LICENSE"),
    "katex": (
        {
            "katex/katex.min.css": "dist/katex.min.css",
            "katex/katex.min.js": "dist/katex.min.js",
            # where the style sheet looks for them; every browser in use reads this form
            "katex/fonts/*": "dist/fonts/*.woff2",
        },
        "LICENSE",
    ),
    "uplot": (
        {"uplot.min.css": "dist/uPlot.min.css", "uplot.min.js": "dist/uPlot.iife.min.js"},
        "LICENSE",
    ),
}


def main() -> None:
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not installed; it comes with Node 18 or newer.")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / name, folder)
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True
        )
        packages = [copy_package(Path(folder), name) for name in sorted(FILES)]
    text = json.dumps({"packages": packages}, indent=2, ensure_ascii=False)
    (TARGET / "manifest.json").write_text(text + "\n")


def copy_package(folder: Path, name: str) -> dict[str, object]:
    """Copy one package's files and its licence; its entry in the manifest."""
    source = folder / "node_modules" / name
    package = json.loads((source / "package.json").read_text())
    served, licence = FILES[name]
    licence_file = f"{name.rpartition('/')[2].removesuffix('.org')}.LICENSE.txt"
    hashes = {}
    for target, path in files_of(source, {**served, licence_file: licence}):
        content = path.read_bytes()
        (TARGET / target).parent.mkdir(parents=True, exist_ok=True)
        (TARGET / target).write_bytes(content)
        hashes[target] = hashlib.sha256(content).hexdigest()
    return {
        "name": name,
        "version": package["version"],
        "licence": package["license"],
        "licence_file": licence_file,
        "files": hashes,
    }


def files_of(source: Path, served: dict[str, str]) -> list[tuple[str, Path]]:
    """Each file's name here and its path, patterns written out."""
    return [
        (target.replace("*", path.name), path)
        for target, pattern in served.items()
        for path in sorted(source.glob(pattern))
    ]


if __name__ == "__main__":
    main()
