"""From the `--model` setting to a directory: `tiny`, a directory, coqui's own runs, or a model of TTS's list."""

from __future__ import annotations

import sys
from pathlib import Path

from TTS.utils.manage import ModelManager

from cufft_harness.errors import MachineError, UserError
from cufft_harness.files import expanded, write_atomically
from cufft_harness.model_files import TINY, TINY_FOLDER, check_model, coqui_checkpoint
from cufft_harness.xtts import tiny
from cufft_harness.xtts.directory import ModelDirectory
from cufft_harness.xtts.takeover import take_over

LICENCE = "https://tts-hub.github.io/cpml"


def resolve(name: str, work: Path, accept_licence: bool = False) -> ModelDirectory:
    """Find or make the model that `name` means.

    Args:
        name: "tiny", a directory, a checkpoint or run directory of coqui's trainer, or the listed name of XTTS-v2.
        work: where a tiny model, or one of coqui's checkpoint, is made, once.
        accept_licence: the user has agreed to the licence of the listed model on the command line.

    Raises:
        UserError: no such model, or its licence was not agreed to.
        MachineError: it could not be downloaded.
    """
    check_model(name)
    if name == TINY:
        directory = work / TINY_FOLDER
        if not (directory / "model.pth").is_file():  # written last
            tiny.build(directory)
        return ModelDirectory.at(directory)
    if name.startswith("tts_models/"):
        return ModelDirectory.at(_download(name, accept_licence))
    checkpoint = coqui_checkpoint(expanded(Path(name)))
    if checkpoint is not None:
        return take_over(checkpoint, work / "taken-over")
    return ModelDirectory.at(expanded(Path(name)))


def _download(name: str, accept_licence: bool) -> Path:
    """Let TTS's model manager fetch the model; it asks for the licence itself where somebody can answer."""
    manager = Agreed(progress_bar=True) if accept_licence else ModelManager(progress_bar=True)
    note = Path(manager.output_prefix) / name.replace("/", "--") / "tos_agreed.txt"
    if not (accept_licence or note.exists() or sys.stdin.isatty()):
        raise UserError(
            f"XTTS-v2 comes under the Coqui Public Model License ({LICENCE}), and nobody is here to agree to it.",
            "Read it, then add --accept-licence.",
        )
    # The manager leaves out dvae.pth, which only training needs.
    kind, language, dataset, model = name.split("/")
    item = manager.models_dict[kind][language][dataset][model]
    item["ignore"] = [pattern for pattern in item.get("ignore", []) if pattern != "dvae.pth"]
    try:
        found, _config, _item = manager.download_model(name)
    except Exception as error:
        raise MachineError(
            f"could not fetch {name}: {error}", "Nothing was changed; check the network, or give --model a directory."
        ) from error
    return Path(found) if Path(found).is_dir() else Path(found).parent


class Agreed(ModelManager):  # type: ignore[misc]
    """The user said yes with `--accept-licence`; write the same note the manager writes after its question."""

    @staticmethod
    def ask_tos(model_full_path: Path) -> bool:
        """Note the agreement beside the model; nothing is asked again."""
        note = Path(model_full_path) / "tos_agreed.txt"
        write_atomically(note, "I have read, understood and agreed to the Terms and Conditions.")
        return True
