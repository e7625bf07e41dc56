"""A checkpoint is read back beside the training, not in its way.

At full size that takes as long as writing it. The file has its name by then: after a kill the next session verifies it
anew, or falls back on the one before, which is there until this one is verified.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from cufft_harness.checkpoints import CheckpointFolder
from cufft_harness.training.events import CheckpointVerified


class Verification:
    """Reads one checkpoint at a time back in a thread; what follows from that is done by the thread that trains."""

    def __init__(self, folder: CheckpointFolder) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="verification")
        self._pending: tuple[Future[None], CheckpointVerified] | None = None

    def begin(self, checkpoint: CheckpointVerified) -> None:
        """Read a checkpoint back from now on; the one before has been taken with `finished`."""
        self._pending = self._thread.submit(self._folder.prove, checkpoint.path), checkpoint

    def finished(self, wait: bool) -> CheckpointVerified | None:
        """The checkpoint that was read back since the last call; None if there is none, or, without `wait`, not yet.

        Raises:
            MachineError: the checkpoint is not what was written; nothing older has been removed.
        """
        if self._pending is None or not (wait or self._pending[0].done()):
            return None
        (reading, checkpoint), self._pending = self._pending, None
        reading.result()
        return checkpoint
