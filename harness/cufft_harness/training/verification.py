"""A checkpoint is read back beside the training, not in its way.

At full size that takes as long as writing it. The file has its name by then: after a kill the next session proves it
anew, or falls back on the one before, which is there until the proof is.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from cufft_harness.checkpoints import CheckpointFolder


class Proof:
    """Proves one checkpoint at a time in a thread; what follows from that is done by the thread that trains."""

    def __init__(self, folder: CheckpointFolder) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="proof")
        self._pending: tuple[Future[None], Callable[[], None]] | None = None

    def begin(self, path: Path, then: Callable[[], None]) -> None:
        """Read a checkpoint back from now on, with the one before settled; `settle` calls `then` if it proves good."""
        self._pending = self._thread.submit(self._folder.prove, path), then

    def settle(self, wait: bool = True) -> None:
        """Do what follows from the proof, if there is one to wait for, or one that is ready.

        Raises:
            MachineError: the checkpoint is not what was written; nothing older has been removed.
        """
        if self._pending is None or not (wait or self._pending[0].done()):
            return
        (proof, then), self._pending = self._pending, None
        proof.result()
        then()
