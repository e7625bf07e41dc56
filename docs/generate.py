"""Pages of the site that are made from the project's own files: first steps, causes, report, contributing, changelog.

Run by mkdocs. A link of README.md or REPORT.md to a file of the repository becomes one to the page made of it; other
files of the repository have no page, and their names stay as text.
"""

from __future__ import annotations

import re
from pathlib import Path

import mkdocs_gen_files

from repro import cause_pages

ROOT = Path(__file__).parent.parent
PAGES = {"README.md": "index.md", "REPORT.md": "report.md", "CONTRIBUTING.md": "contributing.md"}
PAGES |= {"CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")


def main() -> None:
    """Write every page."""
    for source, page in PAGES.items():
        _write(page, _with_links((ROOT / source).read_text(encoding="utf-8")))
    for path in sorted(
        (ROOT / "docs").glob("*.md")
    ):  # whose links hold in the repository, where REPORT.md is a level up
        _write(path.name, _with_links(path.read_text(encoding="utf-8")))
    for page, text in cause_pages.pages().items():
        _write(page, text)


def _with_links(text: str) -> str:
    """The text of a file in the root of the repository, with links that hold on the site; pictures come along."""

    def link(found: re.Match[str]) -> str:
        picture, words, target, anchor = found.groups(default="")
        if "://" in target or not target:
            return found.group()
        target = target.removeprefix("../")
        if target in PAGES:
            return f"[{words}]({PAGES[target]}{anchor})"
        if target.startswith("docs/"):
            return f"{picture}[{words}]({target.removeprefix('docs/')}{anchor})"
        if picture:
            with mkdocs_gen_files.open(target, "wb") as file:
                file.write((ROOT / target).read_bytes())
            return found.group()
        return found.group() if (ROOT / "docs" / target).exists() else words

    return LINK.sub(link, text)


def _write(page: str, text: str) -> None:
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(text)


main()
