"""Patterns of personal data in a text: what kinds it holds. What was found is never handed on,
so nothing can print it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

# Every pattern begins where a word does and has an upper bound, so a line of a million characters takes no longer.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@((?:[\w-]{1,63}\.){1,6}[A-Za-z]{2,24})(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w+.])(?:\+\d{1,3}(?:[ ./()-]{0,3}\d){7,12}|\(\d{3}\) "
    r"?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4}|0\d{2,4}[ /-]\d{5,8})(?![\w-])"
)
# four by four, or as American Express writes it
_CARD = re.compile(r"(?<![\w.-])(?:[2-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([ -]?)\d{6}\2\d{5})(?![\w-])")
# digits and letters of ASCII alone: others have no place in its sum
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}(?!\w)")
# ISO 13616 counts letters on from 9: A is 10, and Z is 35.
_AS_DIGITS = {ord(letter): str(10 + n) for n, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}
_KEY = re.compile(
    r"(?<!\w)(?:sk-[\w-]{20,200}|sk_live_\w{16,200}|gh[opsur]_\w{30,200}|github_pat_\w{30,200}|hf_[A-Za-z]{30,60}"
    r"|A[KS]IA[0-9A-Z]{16}(?!\w)|AIza[\w-]{35}|xox[abprs]-[\w-]{10,200}|eyJ[\w-]{10,2000}\.eyJ[\w-]{10,2000}\.)"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
)
# characters of an IBAN, by country
_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI NL",
        19: "MK SI",
        20: "AT BA EE LT LU XK",
        21: "CH HR LI LV",
        22: "BG DE GB IE ME RS",
        23: "AE GI IL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "PT",
        26: "IS TR",
        27: "FR GR IT MC SM",
        28: "AL CY DO HU LB PL",
        29: "BR EG UA",
        31: "MT",
    }.items()
    for country in countries.split()
}
# Names that stand for nobody (RFC 2606).
_NOBODY = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|invalid|test|localhost)$", re.I)


def _luhn(number: str) -> bool:
    """Whether the last digit of a card's number is the check digit of the others."""
    digits = [int(d) for d in reversed(number)]
    doubled = (sum(divmod(2 * d, 10)) for d in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_card(match: re.Match[str]) -> bool:
    digits = re.sub(r"\D", "", match[0])
    return len(set(digits)) > 1 and _luhn(digits)


def _is_iban(match: re.Match[str]) -> bool:
    """Whether the country's length and the two check digits fit (ISO 13616: divided by 97, the rest is 1)."""
    text = match[0].replace(" ", "").upper()
    length = _LENGTHS.get(text[:2], 99)
    if len(text) < length:
        return False
    # a word in capitals may follow the number
    return int((text[4:length] + text[:4]).translate(_AS_DIGITS)) % 97 == 1


def _anything(_: re.Match[str]) -> bool:
    return True


# kind: a character that must be there (so that most texts cost one look), the pattern, and what else must hold
KINDS: dict[str, tuple[str, re.Pattern[str], Callable[[re.Match[str]], bool]]] = {
    "an e-mail address": ("@", _EMAIL, lambda match: not _NOBODY.search(match[1])),
    "an IBAN": ("", _IBAN, _is_iban),
    "a card number": ("", _CARD, _is_card),
    "a phone number": ("", _PHONE, _anything),
    "a key or token": ("", _KEY, _anything),
}


def kinds(text: str) -> tuple[str, ...]:
    """The kinds of personal data that `text` seems to hold, each once."""
    return tuple(kind for kind in KINDS if any(True for _ in _found(kind, text)))


def masked(text: str) -> str:
    """`text` with the kind in place of each finding: "[a phone number]"."""
    for kind in KINDS:
        at, parts = 0, []
        for match in _found(kind, text):
            parts += [text[at : match.start()], f"[{kind}]"]
            at = match.end()
        text = "".join([*parts, text[at:]])
    return text


def _found(kind: str, text: str) -> Iterator[re.Match[str]]:
    needs, pattern, holds = KINDS[kind]
    at = 0
    while needs in text and (match := pattern.search(text, at)):
        # what begins inside a match that does not hold may hold itself
        right = holds(match)
        if right:
            yield match
        at = match.end() if right else match.start() + 1
