"""training.optimization: what decays, and how the learning rate goes."""

from __future__ import annotations

import pytest
import torch
from cufft_harness.errors import UserError
from cufft_harness.training.optimization import LearningRate, make_optimizer, parameter_groups
from cufft_harness.training.settings import Settings
from torch import nn


def rates(settings: Settings, epochs: int, decay_epochs: int) -> list[float]:
    """The rate of each update of so many epochs of ten updates."""
    rate = LearningRate(settings, decay_epochs)
    return [rate.at(update, update / 10) for update in range(10 * epochs)]


def test_the_default_rate_does_not_depend_on_the_length_of_the_run():
    """It is constant after the warm-up, so that a run can be made longer at any time."""
    settings = Settings(warmup_steps=4, learning_rate=1.0)
    assert rates(settings, 2, 3)[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert set(rates(settings, 9, 3)[3:]) == {1.0}


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_a_cosine_that_is_over_stays_at_its_floor(floor: float):
    """Falling all the way, and without a jump where epochs are added afterwards."""
    found = rates(Settings(lr_schedule="cosine", learning_rate=1.0, lr_floor=floor), 6, 3)
    assert found[:30] == sorted(found[:30], reverse=True)
    assert found[0] == 1.0
    assert found[29] == pytest.approx(floor, abs=0.01)
    assert set(found[30:]) == {floor}


def test_milestones_count_epochs():
    """As coqui's trainer, which steps its scheduler after each epoch."""
    settings = Settings(lr_schedule="multistep", learning_rate=1.0, lr_milestones="1, 3", lr_gamma=0.5)
    assert rates(settings, 4, 1)[9:11] == [1.0, 0.5]
    assert rates(settings, 4, 1)[-1] == 0.25


class Small(nn.Module):
    """One layer of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm, self.layer = nn.Embedding(3, 4), nn.LayerNorm(4), nn.Linear(4, 4)


def test_decay_spares_what_is_no_weight():
    """Biases, norms and embeddings do not decay, unless all shall."""
    model = Small()
    weights, others = parameter_groups(model, Settings(weight_decay=0.1))
    assert [id(one) for one in weights["params"]] == [id(model.layer.weight)]
    assert (weights["weight_decay"], others["weight_decay"], len(others["params"])) == (0.1, 0.0, 4)
    (every,) = parameter_groups(model, Settings(weight_decay_on="all"))
    assert len(every["params"]) == 5


def test_eight_bit_adam_is_there_or_named():
    """Where bitsandbytes is not installed, the error names it before anything is trained."""
    settings = Settings(optimizer="adamw8bit")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="bitsandbytes"):
            make_optimizer(Small(), settings)
    else:
        assert type(make_optimizer(Small(), settings)).__name__ == "AdamW8bit"


def test_settings_reach_the_optimizer():
    """Betas and epsilon are the ones that were set."""
    optimizer = make_optimizer(Small(), Settings(adam_beta1=0.8, adam_beta2=0.9, adam_eps=1e-6))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert (optimizer.defaults["betas"], optimizer.defaults["eps"]) == ((0.8, 0.9), 1e-6)
