"""Text of others as it may be shown on a terminal: captions, file names, what servers say."""

import unicodedata

KEPT = "\n\t"
HIDING = frozenset("\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Separators of lines, and marks that turn the direction of what follows."""


def printable(text: str) -> str:
    """Return a text in which nothing commands a terminal or passes for what it is not.

    Control characters (but line ends and tabs), marks of direction and bytes that are no text stand
    there escaped, as Python writes them: ``\\x1b``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    is_command = unicodedata.category(character) in {"Cc", "Cs"} and character not in KEPT
    if is_command or character in HIDING:
        return character.encode("unicode_escape").decode()
    return character
