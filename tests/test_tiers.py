"""cufft_harness.tiers: down after a failure, up again after good samples."""

from cufft_harness.tiers import Ladder, Placement, Tier, placements

GPU = placements("cuda:0")
NATIVE, BYPASS, CPU = GPU


def test_a_machine_without_accelerator_has_one_placement():
    """Without a GPU only the CPU is tried."""
    assert placements(None) == (Placement(Tier.CPU, "cpu"),)


def test_placements_are_tried_best_first():
    """A fresh ladder tries the GPU, the GPU without cuFFT, then the CPU."""
    assert Ladder(GPU).order() == (NATIVE, BYPASS, CPU)


def test_after_a_failure_the_next_samples_start_lower():
    """What failed once is not tried again for the very next sample."""
    ladder = Ladder(GPU)
    ladder.failed(NATIVE)
    ladder.made(BYPASS)
    assert ladder.order() == (BYPASS, CPU)


def test_after_good_samples_the_better_tier_is_tried_again():
    """Three good samples one step down earn the better step a trial; if it succeeds, it is used again."""
    ladder = Ladder(GPU, recover_after=3)
    ladder.failed(NATIVE)
    for _ in range(3):
        assert ladder.order()[0] == BYPASS
        ladder.made(BYPASS)
    assert ladder.order()[0] == NATIVE
    ladder.made(NATIVE)
    assert ladder.order() == GPU


def test_each_failed_trial_doubles_the_patience():
    """A tier that stays broken is tried ever less often."""
    ladder = Ladder(GPU, recover_after=1)
    ladder.failed(NATIVE)
    trials = []
    for sample in range(16):
        if ladder.order()[0] == NATIVE:
            trials.append(sample)
            ladder.failed(NATIVE)
        ladder.made(BYPASS)
    assert trials == [1, 3, 7, 15]


def test_when_everything_fails_the_last_step_stays():
    """The CPU is never given up."""
    ladder = Ladder(GPU)
    for placement in GPU:
        ladder.failed(placement)
    assert ladder.order() == (CPU,)


def test_a_device_with_an_unkillable_process_is_never_used_again():
    """After `forbid` only other devices are left, whatever succeeds."""
    ladder = Ladder(GPU, recover_after=1)
    ladder.forbid("cuda:0")
    ladder.failed(NATIVE)
    ladder.made(CPU)
    ladder.made(CPU)
    assert ladder.order() == (CPU,)
