"""Where a clip is that a row names: the ways in which people's files name clips, and never outside the data set."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PureWindowsPath

from cufft_harness.audio import SUFFIXES
from cufft_harness.dataset.rows import Reason

FOLDERS = ("wavs", "wav", "clips", "audio")
"""Where LJSpeech, Piper, Common Voice and many others keep the clips that their metadata names without a folder."""


class NoClip(Exception):
    """Why no clip is found."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)


@dataclass(frozen=True)
class _Entry:
    name: str
    path: str
    is_file: bool
    is_link: bool


class ClipFolder:
    """The files of a data set, looked up by the names that rows have for them.

    Each directory is listed once, so a hundred thousand rows cost a hundred thousand look-ups in a dictionary.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[str, dict[str, list[_Entry]]] = {}

    @cached_property
    def _real_root(self) -> Path:
        return self.root.resolve()

    def find(self, name: str) -> Path:
        """The clip of this name.

        Tried in this order: the path as it is written; LJSpeech's `wavs/NAME.wav`; the name in another usual folder or
        with another usual suffix, if only one file fits. Backslashes, capitals and the two ways to write an accent
        (macOS decomposes them) make no difference where the exact name is not there.

        Raises:
            NoClip: nothing fits, several files do, or the path leaves the data set.
        """
        relative = self._relative(name)
        exact = self._look_up(relative)
        if exact is not None:
            return exact
        has_suffix = relative.lower().endswith(SUFFIXES)
        names = [relative] if has_suffix else [f"{relative}{suffix}" for suffix in SUFFIXES]
        usual = None if has_suffix else self._look_up(f"wavs/{relative}.wav")
        if usual is not None:
            return usual
        places = [*names, *(f"{folder}/{one}" for folder in FOLDERS for one in names)]
        found = {path for place in places if (path := self._look_up(place)) is not None}
        if len(found) > 1:
            shown = " and ".join(sorted(str(path.relative_to(self.root)) for path in found)[:2])
            raise NoClip(Reason.AMBIGUOUS, f"several files could be meant: {shown}")
        if not found:
            where = relative if has_suffix else f"{relative}, wavs/{relative}.wav and the like"
            raise NoClip(Reason.MISSING, f"file is missing: {where}")
        return found.pop()

    def _relative(self, name: str) -> str:
        """The name as a path inside the data set, with `/` between its parts."""
        name = name.strip().lstrip("\ufeff")
        if not name or "\0" in name:
            raise NoClip(Reason.MALFORMED, "no clip is named")
        if name[1:2] == ":" and PureWindowsPath(name).drive and os.name != "nt":
            raise NoClip(Reason.OUTSIDE, "path is one of another machine; name clips relative to the data set")
        if name.startswith("/") or (os.name == "nt" and Path(name).is_absolute()):
            return self._relative_to_root(Path(name))
        if "\\" in name and not os.path.lexists(self.root / name):
            name = name.replace("\\", "/")
        normal = os.path.normpath(name).replace(os.sep, "/")
        if normal.split("/")[0] == "..":
            raise NoClip(Reason.OUTSIDE, "path leaves the data set")
        return normal

    def _relative_to_root(self, path: Path) -> str:
        for root in (self.root.absolute(), self._real_root):
            if path.is_relative_to(root) and ".." not in path.parts:
                return path.relative_to(root).as_posix()
        raise NoClip(Reason.OUTSIDE, "path leaves the data set")

    def _look_up(self, relative: str) -> Path | None:
        """The file of this name, part by part."""
        folder = str(self.root)
        *parents, last = relative.split("/")
        for part in parents:
            entry = self._entry(folder, part)
            if entry is None or entry.is_file:
                return None
            folder = entry.path
        entry = self._entry(folder, last)
        if entry is None or not entry.is_file:
            return None
        if entry.is_link and not self._is_inside(entry.path):
            raise NoClip(Reason.OUTSIDE, "path leaves the data set")
        return Path(entry.path)

    def _entry(self, folder: str, name: str) -> _Entry | None:
        if name in ("", ".", ".."):
            return None
        fitting = self._listing(folder).get(_key(name), [])
        exact = [entry for entry in fitting if entry.name == name]
        if len(exact or fitting) > 1:
            raise NoClip(Reason.AMBIGUOUS, f"several files could be meant: {fitting[0].name}, {fitting[1].name}")
        return next(iter(exact or fitting), None)

    def _listing(self, folder: str) -> dict[str, list[_Entry]]:
        if folder not in self._listings:
            if not self._is_inside(folder):
                raise NoClip(Reason.OUTSIDE, "path leaves the data set")
            listing: dict[str, list[_Entry]] = defaultdict(list)
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        listing[_key(entry.name)].append(
                            _Entry(entry.name, entry.path, _is_file(entry), entry.is_symlink())
                        )
            except NotADirectoryError:
                pass
            self._listings[folder] = dict(listing)
        return self._listings[folder]

    def _is_inside(self, path: str) -> bool:
        try:
            return Path(path).resolve().is_relative_to(self._real_root)
        except RuntimeError:  # before Python 3.13 a loop of symbolic links
            return False


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a loop of links
        return False
