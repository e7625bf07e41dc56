"""Checks that need no format: whether what was read as texts can be what the clips say.

Whatever went wrong before, a wrong column shows: labels repeat, names and ids have no sentences, and a label is too
short for its audio. Each of these is an error of the whole data set, because no row of it can be trusted then.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from cufft_harness.audio import SUFFIXES
from cufft_harness.dataset.rows import Row
from cufft_harness.dataset.text import does_not_fit
from cufft_harness.errors import UserError
from cufft_harness.languages import LANGUAGES

ALIKE_ROWS = 4
"""Of so many rows, not all may have one text."""
MANY_ROWS = 10
"""Of so many rows, not more than half may have one text."""
LABEL_ROWS = 20
"""Of so many rows, at least a tenth must differ if they are as short as labels."""
LABEL_WORDS = 3
_ID = re.compile(r"[A-Za-z]*[-_.]?[\d_.-]*\d[\w.-]*")
_PATH = re.compile(rf"\S*[/\\]\S*|\S+({'|'.join(map(re.escape, SUFFIXES))})", re.IGNORECASE)


def check_texts(rows: Sequence[Row], files: str) -> None:
    """Refuse texts that cannot be texts.

    Args:
        rows: of the whole data set.
        files: their names, for the message.

    Raises:
        UserError: the texts are all or mostly alike, or are file names, ids, language codes or labels.
    """
    spoken = [row.text for row in rows if row.text]
    if not spoken:
        return
    problem = _alike(spoken) or _not_sentences(spoken)
    if problem:
        raise UserError(
            f"{files}: {problem}. That is not what the clips say.",
            "`cufft-harness data --data DIR` shows what is read; --columns says which column is the text.",
        )


def _alike(spoken: Sequence[str]) -> str | None:
    (text, count), *_ = Counter(spoken).most_common(1)
    if (count == len(spoken) >= ALIKE_ROWS) or (len(spoken) >= MANY_ROWS and 2 * count > len(spoken)):
        return f"{count} of {len(spoken)} rows have the text `{text[:40]}`"
    different = len(set(spoken))
    short = all(len(text.split()) <= LABEL_WORDS and len(text) <= 40 for text in spoken)
    if short and len(spoken) >= LABEL_ROWS and 10 * different <= len(spoken):
        return f"{len(spoken)} rows have only {different} different texts, such as `{text[:40]}`"
    return None


def _not_sentences(spoken: Sequence[str]) -> str | None:
    """Ids are told from numbers that are said by their kind: an id is digits and letters in one word."""
    for what, holds in (
        ("file names", lambda text: _PATH.fullmatch(text)),
        ("language codes", lambda text: text.lower() in LANGUAGES),
        ("ids", lambda text: _ID.fullmatch(text) and (len(text) > 4 or not text.isdigit())),
    ):
        found = [text for text in spoken if holds(text)]
        if 2 * len(found) > len(spoken):
            return f"{len(found)} of {len(spoken)} texts are {what}, such as `{found[0][:40]}`"
    return None


def check_pace(fits: Sequence[tuple[Row, float]]) -> None:
    """Refuse a data set most of whose texts do not fit the lengths of their clips.

    Args:
        fits: rows whose text may be used and the seconds of their clips.

    Raises:
        UserError: more than half of at least four do not.
    """
    odd = [reason for row, seconds in fits if (reason := does_not_fit(row.text, seconds))]
    if len(fits) >= ALIKE_ROWS and 2 * len(odd) > len(fits):
        raise UserError(
            f"{len(odd)} of {len(fits)} texts do not fit their clips; the first: {odd[0]}.",
            "`cufft-harness data --data DIR` shows texts beside clips; --columns says which column is the text.",
        )
