"""The process that speaks: XTTS loaded once and kept warm, requests in on stdin, answers out on stdout.

Started by the supervisor through `sampling.__main__`. It has a CUDA context of its own, which nothing that
training did can have damaged, and takes nothing from a request but the GPT's weights and the words to say.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import torch

from cufft_harness.audio import resample, write_pcm16
from cufft_harness.checkpoints import load as load_checkpoint
from cufft_harness.fft.context import fft_context
from cufft_harness.probes.outcome import Verdict
from cufft_harness.probes.stft import check_stft
from cufft_harness.sampling import injection as rehearsal
from cufft_harness.sampling.artefacts import SAMPLE_RATE
from cufft_harness.sampling.protocol import Answer, Request, Stage
from cufft_harness.tiers import WORKING_MEMORY, Placement, Tier
from cufft_harness.weights import weights_digest
from cufft_harness.xtts import Xtts, decode, speech
from cufft_harness.xtts.directory import ModelDirectory, gpt_state, load, replace_gpt

if TYPE_CHECKING:
    from TTS.tts.models.xtts import Xtts


class NotMade(RuntimeError):
    """The sample cannot be made at this placement; the message says why, in one line."""


class Worker:
    """The loaded model and what is known about it.

    Args:
        directory: the base model.
        tell: called as each stage of a request begins.
    """

    def __init__(self, directory: ModelDirectory, tell: Callable[[Stage], None] = lambda stage: None) -> None:
        self._tell = tell
        self.model: Xtts = load(directory)
        self._directory = directory
        self._weights_of: tuple[str, int, int] | None = None
        self._digest = weights_digest(gpt_state(self.model))
        self._voices: dict[tuple[str, int, int], speech.Voice] = {}
        self._fast: decode.FastPath | None = None
        self._fast_digest = ""

    def handle(self, request: Request) -> Answer:
        """Make one sample; every error becomes an answer that says why not."""
        try:
            with rehearsal.before_answer(request.rehearse, Path(request.target)):
                return self._make(request)
        except NotMade as problem:
            return Answer(request.number, made=False, reason=str(problem))
        except torch.cuda.OutOfMemoryError as error:
            return Answer(request.number, made=False, reason=f"out of memory: {_one_line(error)}")
        except Exception as error:
            return Answer(request.number, made=False, reason=f"{type(error).__name__}: {_one_line(error)}")
        finally:
            if request.rest_after:
                self._move("cpu")

    def _make(self, request: Request) -> Answer:
        placement = request.placement
        device = torch.device(placement.device)
        stages = speech.Stages(device, lambda name: self._tell(Stage(request.number, name)))
        with stages.stage("load"):
            self._make_room(placement)
            self._move(placement.device)
            digest = self._use_weights(request.checkpoint, request.epoch)
            fast = self._fast_path() if request.fast and placement.tier is Tier.CPU else None
        with transforms(placement, request.rehearse):
            with stages.stage("probe"):
                probe(placement)
            with stages.stage("voice"):
                voice = self._voice(Path(request.reference))
            spoken = speech.speak(
                self.model, request.text, request.language, voice, request.seed, request.max_seconds, stages, fast
            )
        with stages.stage("write"):
            samples = resample(spoken.samples, speech.SAMPLE_RATE, SAMPLE_RATE)
            write_pcm16(Path(request.target), samples, SAMPLE_RATE)
        return Answer(
            request.number,
            made=True,
            weights_sha256=digest,
            stages={name: round(seconds, 4) for name, seconds in stages.seconds.items()},
            audio_seconds=len(samples) / SAMPLE_RATE,
            stopped_by_itself=spoken.stopped_by_itself,
            sentences=spoken.sentences,
            precision=str(fast.choice) if fast else decode.PLAIN,
        )

    def _make_room(self, placement: Placement) -> None:
        """Refuse a GPU that cannot hold the model; better one tier down than an error halfway."""
        if not placement.device.startswith("cuda") or self.model.device.type == "cuda":
            return
        needed = sum(t.numel() * t.element_size() for t in self.model.state_dict().values()) + WORKING_MEMORY
        free, _total = torch.cuda.mem_get_info(placement.device)
        if free < needed:
            raise NotMade(f"{free >> 20} MiB free on {placement.device}, {needed >> 20} MiB needed")

    def _move(self, device: str) -> None:
        if torch.device(device) == self.model.device:
            return
        self.model.to(device)
        self._voices.clear()
        self._fast = None
        torch.cuda.empty_cache()  # does nothing where CUDA is not in use

    def _use_weights(self, checkpoint: str | None, epoch: int | None) -> str:
        """Put a checkpoint's GPT weights into the model and return the digest of what is then in memory.

        Raises:
            NotMade: the file is gone, or of another epoch by now.
        """
        if checkpoint is not None and not Path(checkpoint).exists():
            raise NotMade(f"{Path(checkpoint).name} is gone; its run keeps the newest ones")
        wanted = None if checkpoint is None else _identity(Path(checkpoint))
        if wanted != self._weights_of:
            self._weights_of = ("", 0, 0)  # true of nothing, while the weights are being replaced
            # the base model's own are wanted again so rarely that they are not kept: they are as large as the model
            replace_gpt(self.model, self._weights(checkpoint, epoch))
            self._digest = weights_digest(gpt_state(self.model))
            self._weights_of = wanted
        return self._digest

    def _weights(self, checkpoint: str | None, epoch: int | None) -> dict[str, torch.Tensor]:
        if checkpoint is None:
            return gpt_state(load(self._directory))
        loaded = load_checkpoint(Path(checkpoint))
        if epoch not in (None, loaded.complete_epochs):
            raise NotMade(f"{Path(checkpoint).name} is of epoch {loaded.complete_epochs} by now")
        return loaded.gpt

    def _fast_path(self) -> decode.FastPath:
        """The fast parts that are worth it on this machine, made from the weights now in memory."""
        if self._fast is None:
            self._fast = decode.choose(self.model)
        elif self._fast_digest != self._digest:
            self._fast.refresh()
        self._fast_digest = self._digest
        return self._fast

    def _voice(self, reference: Path) -> speech.Voice:
        key = _identity(reference)
        if key not in self._voices:
            if len(self._voices) > 64:
                self._voices.clear()
            self._voices[key] = speech.read_voice(self.model, reference)
        return self._voices[key]


def transforms(placement: Placement, rehearse: str) -> AbstractContextManager[object]:
    """How FFTs are computed at a placement: the library's, matrix products, or, in a rehearsal, a failing library."""
    stack = ExitStack()
    if placement.tier is not Tier.CPU and rehearse.startswith("CUFFT_"):
        from cufft_harness.fft import inject

        stack.enter_context(inject(_dispatch_key(placement.device), rehearse))
    stack.enter_context(fft_context(placement.tier, placement.device))
    return stack


def probe(placement: Placement) -> None:
    """Run the model's own STFT shapes twice against a float64 reference.

    Raises:
        NotMade: an error or wrong numbers; the code is in the message.
    """
    result = check_stft(placement.device)
    if result.verdict is not Verdict.PASS:
        raise NotMade(f"probe {result.verdict}: {result.code or ''} {result.detail}".replace("  ", " "))


def _identity(path: Path) -> tuple[str, int, int]:
    """A file as it is now: written again, it is another one."""
    state = path.stat()
    return str(path), state.st_mtime_ns, state.st_size


def _dispatch_key(device: str) -> str:
    return torch.device(device).type


def _one_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0][:300]


def serve(directory: Path, requests: BinaryIO, answers: BinaryIO) -> None:
    """Load the model, greet, then answer requests until they end."""

    def tell(stage: Stage) -> None:
        answers.write(stage.to_line())

    tell(Stage(0, "model"))
    worker = Worker(ModelDirectory.at(directory), tell)
    answers.write(Answer(0, made=True).to_line())
    for line in requests:
        request = Request.from_line(line)
        if request.rehearse == "garbage":
            answers.write(rehearsal.garbage())
        answers.write(worker.handle(request).to_line())
