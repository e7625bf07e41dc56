"""Make the built-in speech: short Portuguese and English sentences spoken by espeak-ng, as small OGG files.

Run it from the repository root with espeak-ng installed; the files it writes are committed, so nobody else needs to:

    python scripts/make_speech.py
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import soundfile

TARGET = Path("harness/cufft_harness/dataset/speech")
VOICES = {"pt": ["pt-br", "pt-br+f3"], "en": ["en-gb", "en-us+f2"]}
VALIDATION_EVERY = 7  # rows 7, 14, ... of each language validate, the others train

SENTENCES = {
    "pt": [
        "O mar estava calmo naquela manhã.",
        "A professora abriu a janela da sala.",
        "Meu irmão toca violão muito bem.",
        "O trem para o norte parte às nove.",
        "Ela comprou pão, queijo e café.",
        "As crianças correm pelo jardim.",
        "Hoje o céu está limpo e azul.",
        "O relógio da praça parou de novo.",
        "Guardei a carta dentro do livro.",
        "A chuva começou depois do almoço.",
        "O padeiro acorda antes do sol.",
        "Precisamos de mais tempo para decidir.",
        "A ponte velha cruza o rio estreito.",
        "Ouvimos música até tarde da noite.",
    ],
    "en": [
        "The kettle is already on the stove.",
        "She found a small key under the mat.",
        "Our train leaves from platform four.",
        "The garden smells of fresh rain.",
        "He wrote his name on the first page.",
        "Two boats sailed past the lighthouse.",
        "Please close the door behind you.",
        "The old clock struck seven times.",
        "They walked home along the river.",
        "A warm wind blew from the south.",
        "My neighbour keeps bees on the roof.",
        "The lamp went out without a sound.",
        "We shared an apple and some bread.",
        "Nobody heard the letter arrive.",
    ],
}


def speak(text: str, voice: str) -> tuple[object, int]:
    """Samples and sample rate of `text` in the espeak-ng voice `voice`."""
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", "165", "--stdout", text], check=True, capture_output=True
    ).stdout
    samples, rate = soundfile.read(io.BytesIO(spoken), dtype="float32")
    return samples, int(rate)


def main() -> None:
    """Write wavs/*.ogg and the two metadata files."""
    (TARGET / "wavs").mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[str]] = {"train": [], "val": []}
    for language, sentences in SENTENCES.items():
        for number, text in enumerate(sentences, start=1):
            name = f"wavs/{language}_{number:02}.ogg"
            samples, rate = speak(text, VOICES[language][number % len(VOICES[language])])
            soundfile.write(TARGET / name, samples, rate, format="OGG", subtype="VORBIS")
            rows["val" if number % VALIDATION_EVERY == 0 else "train"].append(f"{name}|{text}|{language}")
    for part, lines in rows.items():
        (TARGET / f"metadata_{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
