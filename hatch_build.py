"""What the package index is told beyond pyproject.toml: the project's addresses, and a README whose links work there.

The address of the repository stands in one place, `[tool.hatch.metadata.hooks.custom]` of pyproject.toml.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PAGES = {"Source": "", "Issues": "/issues", "Changelog": "/blob/main/CHANGELOG.md", "Report": "/blob/main/REPORT.md"}
_LINK_IN_THE_REPOSITORY = re.compile(r"\]\((?![a-z]+:|#)([^)]+)\)")


class Addresses(MetadataHookInterface):
    """Fills in the fields that pyproject.toml names as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `urls` and `readme`."""
        address = self.config["address"]
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = _LINK_IN_THE_REPOSITORY.sub(rf"]({address}/blob/main/\1)", readme)
        metadata["urls"] = {name: address + page for name, page in _PAGES.items()}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
