"""Read a pasted log in stages, each of which can be looked at alone: clean text -> `Evidence`.

harmless lines and stock advice out -> program -> result codes -> versions and cards -> signs -> contrasts -> the line
that ended it -> what follows from versions, and from what the simulated driver showed.
"""

from __future__ import annotations

from collections.abc import Iterator

from cufft_harness.cufft import CufftResult
from cufft_harness.diagnosis import error_lines, from_versions, measured
from cufft_harness.diagnosis.codes import CodeSeen, codes_in
from cufft_harness.diagnosis.contrasts import contrasts_in
from cufft_harness.diagnosis.environment import environment_of
from cufft_harness.diagnosis.facts import ErrorLine, Evidence, Fact, unique
from cufft_harness.diagnosis.harmless import without_harmless
from cufft_harness.diagnosis.log_input import Source
from cufft_harness.diagnosis.programs import Framework, Program, program_in
from cufft_harness.diagnosis.signs import SignSeen, signs_in

Place = tuple[str, int]


def read_log(source: Source) -> Evidence:
    """All facts that a report states or gives away."""
    lines = source.text.split("\n")
    text, found, harmless = without_harmless(_lower(source.text), lines)
    program = program_in(text)
    codes, signs = codes_in(text), list(signs_in(text))
    environment = environment_of(text, program.framework)
    error, also = error_lines.choose(_places(codes, signs), text, lines)
    found += [*_of_program(program), *_of_codes(codes), *_of_signs(signs), *_of_error(error)]
    found += contrasts_in(text, environment)
    found += from_versions.facts_of(environment, found)
    found += measured.facts_of(environment, [code.result for code in codes if code.result and not code.hip])
    return Evidence(unique(found), environment, source.notes, program, error, also, harmless)


def facts_in(text: str) -> list[Fact]:
    """The codes and signs that a lower-case text shows."""
    return [*_of_codes(codes_in(text)), *_of_signs(list(signs_in(text)))]


def _lower(text: str) -> str:
    """Lower case; the few letters that would become two are kept, so that every place stays where it was."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(small if len(small) == 1 else letter for letter in text for small in [letter.lower()])


def _places(codes: list[CodeSeen], signs: list[SignSeen]) -> Iterator[Place]:
    yield from (("cufft", code.at) for code in codes)
    yield from ((sign.line, at) for sign in signs if sign.line for at in sign.places)


def _of_program(program: Program) -> Iterator[Fact]:
    yield Fact(f"in-{program.framework}", f"the program is {program.title}" if program.title else "")
    if program.framework not in (Framework.PYTORCH, Framework.UNKNOWN):
        yield Fact("not-pytorch", f"the program is {program.title}, not PyTorch")


def _of_codes(codes: list[CodeSeen]) -> Iterator[Fact]:
    for code in codes:
        if code.result is None:
            yield Fact("code-beyond-range", f"the number {code.number} is no result code of cuFFT")
            continue
        number = f"{code.number}, that is " if code.number else ""
        yield Fact(code.result.name, f"the error code is {number}{code.result.name}")
        if code.hip:
            yield Fact("hipfft", "the message is hipFFT's: a ROCm build")
        if code.result is CufftResult.CUFFT_INTERNAL_ERROR:
            yield Fact("cufft-unspecific", "the code is INTERNAL_ERROR")


def _of_signs(signs: list[SignSeen]) -> Iterator[Fact]:
    return (Fact(sign.name, sign.says) for sign in signs)


def _of_error(error: ErrorLine | None) -> Iterator[Fact]:
    if error:
        yield Fact(f"error-line-{error.kind}", "")
    else:
        yield Fact("no-error-line", "no line of a failure is shown")
