"""cufft_harness.sampling.waiting: which samples are kept where training is faster than speech."""

from __future__ import annotations

from pathlib import Path

from cufft_harness.sampling.orders import Order
from cufft_harness.sampling.waiting import LONGEST_QUEUE, Waiting
from hypothesis import given
from hypothesis import strategies as st


def order(epoch: int, best: bool = False) -> Order:
    return Order(epoch, Path(f"checkpoint_epoch_{epoch}.pt") if epoch else None, (), in_best=best)


def heard(bests: set[int], epochs: int, pace: int) -> list[int]:
    """Epochs heard where a sample takes as long as `pace` epochs, and what waits at the end is made."""
    waiting, made = Waiting(), []
    for epoch in range(1, epochs + 1):
        waiting.add(order(epoch, epoch in bests))
        if epoch % pace == 0:
            made.append(waiting.take().epoch)
    while len(waiting):
        made.append(waiting.take().epoch)
    return made


@given(st.sets(st.integers(1, 60), min_size=1), st.integers(1, 60), st.integers(1, 12))
def test_the_best_and_the_newest_are_never_dropped(bests: set[int], epochs: int, pace: int):
    """Whatever the pace: the best epoch of the run is heard, and so is its last."""
    made = heard(bests, epochs, pace)
    assert max((best for best in bests if best <= epochs), default=epochs) in made
    assert epochs in made
    assert len(made) == len(set(made))


def test_what_is_heard_is_spread_over_the_run():
    """At eight times the pace of speech, 40 epochs leave no gap of more than 12; by age, the last four were kept."""
    made = sorted(heard({1}, 40, 8))
    assert max(b - a for a, b in zip([0, *made], made, strict=False)) <= 12


def test_the_best_is_made_first():
    """Then the others, as they came."""
    waiting = Waiting()
    for epoch in (4, 5, 6):
        waiting.add(order(epoch, best=epoch == 5))
    assert [waiting.take().epoch for _ in range(3)] == [5, 4, 6]


def test_the_base_model_waits_beside_the_others():
    """It is no checkpoint that waits to be pruned, so it takes no place in the queue and is never dropped."""
    waiting = Waiting()
    assert waiting.add(order(0)) is None
    assert [waiting.add(order(epoch)) for epoch in range(1, LONGEST_QUEUE + 1)] == [None] * LONGEST_QUEUE
    dropped = waiting.add(order(9))
    assert dropped is not None
    assert dropped.epoch
    assert 0 in {one.epoch for one in waiting}


def test_what_was_heard_before_counts(tmp_path: Path):
    """Beside an epoch heard already, the nearest goes: the others fill the larger gaps."""
    waiting = Waiting()
    waiting.heard(10)
    for epoch in (11, 20, 30):
        assert waiting.add(order(epoch)) is None
    dropped = waiting.add(order(40))
    assert dropped is not None
    assert dropped.epoch == 11
