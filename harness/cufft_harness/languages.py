"""The languages of XTTS-v2, and a sentence to hear in each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cufft_harness.errors import UserError, did_you_mean

SENTENCES: Mapping[str, str] = {
    "en": "Hello! This is my new voice, and today it reads a whole sentence for the first time.",
    "es": "¡Hola! Esta es mi nueva voz, y hoy lee por primera vez una frase entera.",
    "fr": "Bonjour ! Voici ma nouvelle voix, et aujourd'hui elle lit pour la première fois une phrase entière.",
    "de": "Hallo! Das ist meine neue Stimme, und heute liest sie zum ersten Mal einen ganzen Satz.",
    "it": "Ciao! Questa è la mia nuova voce, e oggi legge per la prima volta una frase intera.",
    "pt": "Olá, este é um teste de síntese de voz usando XTTS treinado.",
    "pl": "Cześć! To jest mój nowy głos i dzisiaj po raz pierwszy czyta całe zdanie.",
    "tr": "Merhaba! Bu benim yeni sesim ve bugün ilk kez bütün bir cümleyi okuyor.",
    "ru": "Привет! Это мой новый голос, и сегодня он впервые читает целое предложение.",
    "nl": "Hallo! Dit is mijn nieuwe stem, en vandaag leest ze voor het eerst een hele zin.",
    "cs": "Ahoj! Tohle je můj nový hlas a dnes poprvé čte celou větu.",
    "ar": "مرحبًا! هذا صوتي الجديد، وهو يقرأ اليوم جملة كاملة لأول مرة.",
    "zh-cn": "你好！这是我的新声音，今天它第一次朗读一个完整的句子。",
    "hu": "Szia! Ez az új hangom, és ma először olvas fel egy egész mondatot.",
    "ko": "안녕하세요! 이것은 제 새로운 목소리이고, 오늘 처음으로 한 문장을 끝까지 읽습니다.",
    "ja": "こんにちは。これは私の新しい声です。今日は初めて、ひとつの文を最後まで読みます。",
    "hi": "नमस्ते! यह मेरी नई आवाज़ है, और आज यह पहली बार एक पूरा वाक्य पढ़ रही है।",
}
"""What the samples say where nobody says otherwise, by XTTS's language code (`XttsConfig.languages`)."""

LANGUAGES = frozenset(SENTENCES)
DEFAULT = "pt"
"""Where neither the user nor the data set names a language: that of the original tool."""

EXTRAS: Mapping[str, tuple[str, str]] = {"ja": ("cutlet", "ja"), "zh-cn": ("pypinyin", "zh")}
"""Languages whose texts coqui-tts reads with a package of an extra of its own: the package and the extra."""


def language_code(written: str) -> str:
    """XTTS's code for a language written with a region or in capitals (`pt_BR`, `EN-us`, `zh`); others as they are."""
    code = written.strip().lower().replace("_", "-")
    base = code.split("-")[0]
    if base in ("zh", "cmn"):
        return "zh-cn"
    return base if base in LANGUAGES else code


def known_language(written: str) -> str:
    """XTTS's code for a language, as `language_code`.

    Raises:
        UserError: XTTS does not speak it.
    """
    code = language_code(written)
    if code not in LANGUAGES:
        raise UserError(
            f"XTTS does not speak `{written}`.{did_you_mean(code, SENTENCES)}", f"It speaks {', '.join(SENTENCES)}."
        )
    return code


def written_language(data: Path) -> str | None:
    """The language that a data set's lang.txt names, as XTTS fine-tuning pages write it; None where there is none.

    Args:
        data: the folder, or a file in it.

    Raises:
        UserError: the file holds something else.
    """
    folder = data.expanduser()
    file = (folder if folder.is_dir() else folder.parent) / "lang.txt"
    if not file.is_file():
        return None
    words = file.read_text(encoding="utf-8-sig", errors="replace").split()
    if len(words) != 1 or language_code(words[0]) not in LANGUAGES:
        raise UserError(f"{file} should hold one language code, such as `en`.", "Mend it or remove it.")
    return language_code(words[0])
