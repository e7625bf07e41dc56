"""cufft_harness.sampling.protocol: what is not exactly an answer is refused."""

import json

import pytest
from cufft_harness.sampling.protocol import LONGEST_LINE, Answer, ProtocolError, Request
from cufft_harness.tiers import Placement, Tier
from hypothesis import given
from hypothesis import strategies as st

REQUEST = Request(
    number=7,
    placement=Placement(Tier.BYPASS, "cuda:1"),
    checkpoint="checkpoint_epoch_3.pt",
    text="Olá.",
    language="pt",
    reference="r.wav",
    seed=1,
    max_seconds=2.0,
    target="o.wav",
)


def test_a_request_survives_the_line():
    """What the worker reads is what the supervisor wrote, tier and accents included."""
    assert Request.from_line(REQUEST.to_line()) == REQUEST


def test_an_answer_survives_the_line():
    """What the supervisor reads is what the worker wrote."""
    answer = Answer(3, made=True, weights_sha256="ab", stages={"decode": 0.5}, audio_seconds=1.25)
    assert Answer.from_line(answer.to_line()) == answer


@pytest.mark.parametrize(
    "change",
    [
        {"number": "3"},
        {"made": 1},
        {"stages": {"decode": "fast"}},
        {"stages": []},
        {"audio_seconds": -1},
        {"audio_seconds": True},
        {"surprise": 1},
    ],
)
def test_an_answer_of_the_wrong_types_is_refused(change: dict[str, object]):
    """Types and names are checked, so nothing odd reaches the manifest."""
    line = json.dumps({"number": 3, "made": True} | change).encode()
    with pytest.raises(ProtocolError):
        Answer.from_line(line)


def test_an_endless_line_is_refused():
    """A line longer than the limit is not even parsed."""
    with pytest.raises(ProtocolError, match="more than"):
        Answer.from_line(b"[" * (LONGEST_LINE + 1))


@given(st.binary(max_size=200))
def test_any_bytes_give_an_answer_or_a_protocol_error(line: bytes):
    """Nothing a worker writes can raise anything else."""
    try:
        Answer.from_line(line)
    except ProtocolError:
        return
