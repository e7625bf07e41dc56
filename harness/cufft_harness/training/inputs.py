"""A user's mistakes, found before PyTorch is imported: data set, model, reference clip, output, GPU."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from cufft_harness.audio import AudioError, read_header
from cufft_harness.dataset.metadata import DataSet, read_data_set
from cufft_harness.doctor.examination import why_no_gpu
from cufft_harness.driver import probe_driver, read_system
from cufft_harness.errors import MachineError, UserError
from cufft_harness.languages import EXTRAS
from cufft_harness.model_files import check_model
from cufft_harness.training.settings import Settings
from cufft_harness.training.trained_on import check_same


def check_inputs(settings: Settings) -> DataSet:
    """Look at everything that settings name, as far as that takes no PyTorch.

    Returns:
        The data set's rows; the clips are not opened yet.

    Raises:
        UserError: something is not there, or is not what it should be; nothing was changed.
        MachineError: a language needs a package that is not installed.
    """
    check_model(settings.model)
    sampling_there = settings.samples and settings.sample_device == "cuda" and not settings.inject
    for flag, wanted in (
        ("--device cuda", settings.device == "cuda"),
        ("--mixed-precision fp16", settings.mixed_precision == "fp16"),
        ("--sample-device cuda", sampling_there),
    ):
        if wanted:
            check_gpu(flag)
    check_language(settings.language)
    for language in settings.sample_language:
        check_language(language)
    for reference in settings.sample_reference or ():
        check_reference(reference)
    check_output(settings.output)
    data = read_data_set(settings.data, settings.language, format=settings.format, columns=settings.columns)
    for code in {row.language for row in data.rows}:
        check_language(code)
    check_same(settings.output.expanduser(), settings, data)
    return data


def check_gpu(flag: str) -> None:
    """Ask the driver whether there is a GPU that PyTorch can use.

    Raises:
        UserError: there is none, so that what `flag` says cannot be.
    """
    reason = why_no_gpu(read_system(), probe_driver())
    if reason:
        raise UserError(f"{flag} needs a GPU, and {reason}.", "`cufft-harness doctor` says more.")


def check_language(code: str) -> None:
    """Check that texts of a language can be read here.

    Raises:
        MachineError: coqui-tts needs a package for it that is not installed.
    """
    package, extra = EXTRAS.get(code, ("", ""))
    if package and find_spec(package) is None:
        raise MachineError(
            f"texts in `{code}` need {package}, which is not installed.", f"pip install 'coqui-tts[{extra}]'"
        )


def check_reference(clip: Path) -> None:
    """Check that a clip whose voice is to be used can be read.

    Raises:
        UserError: it is not there, or is no audio.
    """
    path = clip.expanduser()
    if not path.is_file():
        raise UserError(f"no reference clip at {clip}.")
    try:
        read_header(path)
    except AudioError as error:
        raise UserError(f"the reference clip {clip} is {error}.") from error


def check_output(folder: Path) -> None:
    """Check that an output directory is one, or can be made; make nothing yet.

    Raises:
        UserError: a file is in the way, or the place is not writable.
    """
    path = folder.expanduser().absolute()
    nearest = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise UserError(f"{folder} cannot be a directory: {nearest} is not one.", "Give another --output.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"{folder} is not writable.", "Give another --output.")
