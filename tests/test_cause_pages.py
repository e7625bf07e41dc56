"""The documentation's pages about causes are made from the catalogue."""

import re

from cufft_harness.cufft import CufftResult
from cufft_harness.diagnosis.catalogue import catalogue

from repro.cause_pages import pages


def test_every_cause_has_a_page_and_every_code_a_row():
    """One page a cause, all listed, and what each code means for each cuFFT that was measured."""
    made = pages()
    assert set(made) == {"causes.md", *(f"causes/{name}.md" for name in catalogue())}
    index = made["causes.md"]
    assert all(f"causes/{name}.md" in index for name in catalogue())
    row = next(line for line in index.splitlines() if line.startswith("| **CUFFT_INVALID_SIZE**"))
    cells = [cell.strip() for cell in row.split("|")]
    assert "kernels whose PTX the driver cannot compile" in cells[4]  # cuFFT 11.3
    assert "kernels whose PTX the driver cannot compile" not in cells[3]  # cuFFT 11.2
    assert all(f"**{code.name}**" in index for code in CufftResult if code)


def test_a_page_holds_what_people_search_for():
    """The text a program prints, and a remedy for each framework; no placeholder is left."""
    made = pages()
    assert "Error initializing FFT: 5" in made["causes.md"]
    assert "## OpenMM" in made["causes/low-free-vram.md"]
    assert not [page for page, text in made.items() if re.search(r"\{(?:stand-in|cpu|build|keep|reinstall)", text)]
