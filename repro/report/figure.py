"""What the report's pictures share: matplotlib, loaded when one is drawn, and the same bytes for the same input."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cufft_harness.errors import MachineError


@contextmanager
def drawing(font_size: int = 9) -> Iterator[Any]:
    """Give matplotlib's `pyplot`, set up so that its SVG is the same for the same data.

    Raises:
        MachineError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MachineError("the picture needs matplotlib.", 'pip install "cufft-harness[report]"') from None
    matplotlib.use("agg")
    from matplotlib import pyplot, rc_context

    with rc_context({"svg.hashsalt": "cufft-harness", "font.family": "DejaVu Sans", "font.size": font_size}):
        try:
            yield pyplot
        finally:
            pyplot.close()


def as_bytes(figure: Any, kind: str = "svg") -> bytes:
    """The figure as a file of this kind; an SVG bears no date."""
    stream = io.BytesIO()
    dated = {"Date": None} if kind == "svg" else None
    figure.savefig(stream, format=kind, dpi=150, bbox_inches="tight", metadata=dated)
    return stream.getvalue()
