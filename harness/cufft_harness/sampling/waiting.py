"""Orders that wait for the worker, and which of them to give up where training is faster than speech."""

from __future__ import annotations

from collections.abc import Iterator

from cufft_harness.sampling.orders import Order

LONGEST_QUEUE = 3
"""Checkpoints that may wait to be heard; each is a file that cannot be pruned meanwhile. The base model is not one."""


class Waiting:
    """The orders that wait.

    Worth decides, not age: the best epoch's order is never given up, nor the newest one. Of the others goes the one
    without which the smallest gap opens between epochs that are heard: so they stay spread over the whole run.
    """

    def __init__(self) -> None:
        self._orders: list[Order] = []
        self._heard: set[int] = set()

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders)

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, order: Order) -> Order | None:
        """Let an order wait; gives the one that had to go for it."""
        self._orders.append(order)
        of_checkpoints = [one for one in self._orders if one.checkpoint is not None]
        if len(of_checkpoints) <= LONGEST_QUEUE:
            return None
        dropped = self._least_worth(of_checkpoints)
        self._orders.remove(dropped)
        return dropped

    def take(self) -> Order:
        """The next to be made: the best so far, then the others as they came."""
        taken = self._best(self._orders) or self._orders[0]
        self._orders.remove(taken)
        self.heard(taken.epoch)
        return taken

    def heard(self, epoch: int) -> None:
        """Note that an epoch is heard already."""
        self._heard.add(epoch)

    def clear(self) -> list[Order]:
        """Give up all of them."""
        given_up, self._orders = self._orders, []
        return given_up

    def _best(self, orders: list[Order]) -> Order | None:
        """The newest of those that were the best epoch so far."""
        return max((one for one in orders if one.in_best), key=lambda one: one.epoch, default=None)

    def _least_worth(self, orders: list[Order]) -> Order:
        kept = {id(self._best(orders)), id(max(orders, key=lambda one: one.epoch))}
        return min((one for one in orders if id(one) not in kept), key=self._gap_without)

    def _gap_without(self, order: Order) -> int:
        """Epochs from the last one heard before this order's to the next one after it."""
        epochs = {0, *self._heard, *(one.epoch for one in self._orders if one is not order)}
        before = max(epoch for epoch in epochs if epoch < order.epoch or epoch == 0)
        after = min((epoch for epoch in epochs if epoch >= order.epoch), default=order.epoch)
        return after - before
