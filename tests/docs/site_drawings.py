"""Draw the Mermaid drawings of the pages, for the site: ``python tests/docs/site_drawings.py``.

The site needs no script from elsewhere then. Mermaid comes from the npm registry, Chromium is the system's.
"""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from pathlib import Path

from browsers import run_chromium
from documentation import BLOCKS, ROOT
from langchain_dynamodb.local.fetch import _npm

MERMAID = "mermaid@11.12.0"
FOLDER = ROOT / "docs/images/drawings"


def fetch_mermaid(folder: Path) -> Path:
    """The script, as it was published."""
    command = [*_npm(), "pack", MERMAID, "--pack-destination", str(folder), "--ignore-scripts"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    [archive] = folder.glob("*.tgz")
    with tarfile.open(archive) as files:
        files.extract("package/dist/mermaid.min.js", folder)
    return folder / "package/dist/mermaid.min.js"


def main() -> None:
    """Draw all that have no picture yet, and remove the pictures of those that are gone."""
    from site_pages import drawing

    wanted = {drawing(block.code): block.code for block in BLOCKS if block.language == "mermaid"}
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.svg"):
        if path not in wanted:
            path.unlink()
    with tempfile.TemporaryDirectory() as name, run_chromium() as chromium:
        page = chromium.new_page()
        page.add_script_tag(path=fetch_mermaid(Path(name)))
        page.evaluate("mermaid.initialize({startOnLoad: false, theme: 'neutral', flowchart: {htmlLabels: false}})")
        for path, code in wanted.items():
            if not path.exists():
                svg = page.evaluate("(code) => mermaid.render('drawing', code).then((made) => made.svg)", code)
                path.write_text(svg + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
