"""Cards that people own or rent: what each holds, and who says so.

A card sold as "24 GB" is built as 24 GiB. Where error correction is on by default and takes its bits from the same
memory (GDDR5 and GDDR6 in data centers), a sixteenth is gone: a T4 sold with 16 holds 15, as `nvidia-smi` says. Of
these its driver gives a process 14.56 (`FOR_A_PROCESS`).
"""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

from ..memory.bill import GIB

# Where the sizes below stand: the vendors' own pages and data sheets. Those of L40, A30, RTX 4500 Ada and RTX PRO are
# also Hugging Face's (huggingface.js, hardware-nvidia.ts, read in November 2026).
GEFORCE = "https://www.nvidia.com/en-us/geforce/graphics-cards/compare/"
GEFORCE_10 = "https://www.nvidia.com/en-us/geforce/10-series/"
GEFORCE_LAPTOP = "https://www.nvidia.com/en-us/geforce/gaming-laptops/compare/"
DATA_CENTER = "https://www.nvidia.com/en-us/data-center/"
WORKSTATION = "https://www.nvidia.com/en-us/design-visualization/desktop-graphics/"
AWS_G5 = "https://aws.amazon.com/ec2/instance-types/g5/"
ROCM = "https://rocm.docs.amd.com/en/latest/reference/gpu-specs.html"


class GraphicsCard(NamedTuple):
    """A card: what it is called, the GiB it holds, and where its vendor says so.

    Of several sizes the name alone means the first, which is the smallest unless the course has always meant another.
    """

    name: str
    sizes: tuple[float, ...]
    source: str


def _cards(source: str, sizes: dict[str, float | tuple[float, ...]]) -> list[GraphicsCard]:
    return [GraphicsCard(name, held if isinstance(held, tuple) else (held,), source) for name, held in sizes.items()]


KNOWN_CARDS = [
    *_cards(
        GEFORCE_10,
        {"GTX 1060": (3, 6), "GTX 1070": 8, "GTX 1070 Ti": 8, "GTX 1080": 8, "GTX 1080 Ti": 11},
    ),
    *_cards(
        GEFORCE,
        {
            "GTX 1650": 4,
            "GTX 1650 Super": 4,
            "GTX 1660": 6,
            "GTX 1660 Super": 6,
            "GTX 1660 Ti": 6,
            "RTX 2060": (6, 12),
            "RTX 2060 Super": 8,
            "RTX 2070": 8,
            "RTX 2070 Super": 8,
            "RTX 2080": 8,
            "RTX 2080 Super": 8,
            "RTX 2080 Ti": 11,
            "RTX 3050": (6, 8),
            "RTX 3060": (12, 8),
            "RTX 3060 Ti": 8,
            "RTX 3070": 8,
            "RTX 3070 Ti": 8,
            "RTX 3080": (10, 12),
            "RTX 3080 Ti": 12,
            "RTX 3090": 24,
            "RTX 3090 Ti": 24,
            "RTX 4060": 8,
            "RTX 4060 Ti": (8, 16),
            "RTX 4070": 12,
            "RTX 4070 Super": 12,
            "RTX 4070 Ti": 12,
            "RTX 4070 Ti Super": 16,
            "RTX 4080": 16,
            "RTX 4080 Super": 16,
            "RTX 4090": 24,
            "RTX 5050": 8,
            "RTX 5060": 8,
            "RTX 5060 Ti": (8, 16),
            "RTX 5070": 12,
            "RTX 5070 Ti": 16,
            "RTX 5080": 16,
            "RTX 5090": 32,
        },
    ),
    *_cards(
        GEFORCE_LAPTOP,
        {
            "RTX 3050 laptop": (4, 6),
            "RTX 3060 laptop": 6,
            "RTX 3070 laptop": 8,
            "RTX 3070 Ti laptop": 8,
            "RTX 3080 laptop": (8, 16),
            "RTX 3080 Ti laptop": 16,
            "RTX 4050 laptop": 6,
            "RTX 4060 laptop": 8,
            "RTX 4070 laptop": 8,
            "RTX 4080 laptop": 12,
            "RTX 4090 laptop": 16,
            "RTX 5050 laptop": 8,
            "RTX 5060 laptop": 8,
            "RTX 5070 laptop": 8,
            "RTX 5070 Ti laptop": 12,
            "RTX 5080 laptop": 16,
            "RTX 5090 laptop": 24,
        },
    ),
    *_cards(
        DATA_CENTER,
        {
            "P100": (12, 16),
            "P40": 22.5,
            "V100": (16, 32),
            "T4": 15,
            "A10": 22.5,
            "A30": 24,
            "A40": 45,
            "A100": (40, 80),
            "L4": 22.5,
            "L40": 45,
            "L40S": 45,
            "H100": 80,
            "H100 NVL": 94,
            "H200": 141,
            "B200": 180,
            "DGX Spark": 119,  # of 128 GB, which the processor uses, too
        },
    ),
    *_cards(AWS_G5, {"A10G": 22.5}),
    *_cards(
        WORKSTATION,
        {
            "RTX A4000": 16,
            "RTX A5000": 24,
            "RTX A6000": 48,
            "RTX 4000 Ada": 20,
            "RTX 4500 Ada": 24,
            "RTX 5000 Ada": 32,
            "RTX 6000 Ada": 48,
            "RTX PRO 4000": 24,
            "RTX PRO 4500": 32,
            "RTX PRO 5000": (48, 72),
            "RTX PRO 6000": 96,
        },
    ),
    *_cards(
        ROCM,
        {
            "MI210": 64,
            "MI300X": 192,
            "MI325X": 256,
            "MI350X": 288,
            "MI355X": 288,
            "AI PRO R9700": 32,
            "RX 7800 XT": 16,
            "RX 7900 XT": 20,
            "RX 7900 XTX": 24,
            "RX 9070": 16,
            "RX 9070 XT": 16,
        },
    ),
]

# What lessons and widgets offer, and what a plan without a card names.
CARDS: dict[str, float] = {
    "RTX 3060": 12,
    "T4": 14.56,
    "L4": 22.5,
    "RTX 3090": 24,
    "RTX 4090": 24,
    "RTX 5090": 32,
    "A100 40": 40,
    "A100 80": 80,
    "H100": 80,
    "H200": 141,
}

# Where the driver keeps so much that plans turn on it: the "total capacity" in PyTorch's own words, 14.56 to 14.58 GiB
# of a T4 (CatVTON#133, Qwen3-VL#1046, GeoPixel#5; fitcheck's log of 16 September 2026: 14,912 MiB).
# Of other cards it keeps 1% to 2%.
FOR_A_PROCESS = {"T4": 14.56}

# A number alone is a size in GB up to here, and beyond it a card's name: no single card holds more,
# and none has a smaller name.
LARGEST_BARE = max(size for card in KNOWN_CARDS for size in card.sizes)
# Words around a card's name, and how it is built, which say nothing of its memory.
_MAKERS = r"nvidia|geforce|quadro|tesla|amd|radeon|instinct|rtx|gtx|rx"
_BUILT = r"graphics|gpu|card|generation|server|workstation|edition|blackwell|sxm\d?|pcie|hbm\d?e?|gddr\d\w?"
_LAPTOP = r"laptop|mobile|notebook|max-?q"
# Brackets, trademarks, and words that say that a size is one.
_ASIDE = r"[()\[\]®™]|\b(?:of|v?ram|memory)\b"


def find_card(card: str | float) -> tuple[str, float]:
    """The name of a card and the bytes it holds, before a screen and, but for FOR_A_PROCESS,
    the driver take their part.

    `card` is a card's name or its size as it is sold: "RTX 4090", "4090", "24", "24 GB VRAM" and 24.0 all hold 24 GiB.
    A name that stands for several sizes means the first of them (see `several_sizes`), unless one is added: "3080 12".
    Raises ValueError for what is neither.
    """
    if match := _found(card):
        known, size = match
        several = len(known.sizes) > 1 and known.name != "RTX 3060"
        return (f"{known.name} {size:g}" if several else known.name), FOR_A_PROCESS.get(known.name, size) * GIB
    gb = re.fullmatch(r"([0-9]*\.?[0-9]+)(gi?b?|gigabytes?)?", re.sub(rf"{_ASIDE}|\s", "", f"{card}".lower()))
    most = 2000 if gb and gb[2] else LARGEST_BARE
    if gb and 0 < float(gb[1]) <= most:
        return f"A card of {float(gb[1]):g} GB", float(gb[1]) * GIB
    name = str(card).strip()
    if _SEVERAL.fullmatch(name):
        number, one = cards_of(name)
        raise ValueError(
            f"{name!r} means several cards, and this plans one: say {one} where each holds the whole model (DDP), or "
            f'`lora-lessons plan` with --cards "{number}x{one}" where they share it (FSDP).'
        )
    if _MAC.search(name):
        raise ValueError(
            f"{name!r} is a Mac's chip, which shares the computer's memory, and a plan for a card counts what CUDA and "
            "bitsandbytes hold on it: nothing here was measured on a Mac, from M1 to M5. Leave --gpu out, and "
            "hold the GB of --method lora against three quarters of the Mac's memory; mlx-lm trains there, "
            "in 4 bits of its own."
        )
    # other words around it, or its own in another order: Colab T4, RTX 6000 Pro
    within = [one.name for one in _NAMES.values() if _words(one.name) <= _words(name)]
    near = sorted(within, key=lambda one: len(_words(one)))[-1:] or [
        _NAMES[plain].name for plain in difflib.get_close_matches(_plain(name), _NAMES, n=4, cutoff=0.7)
    ]
    meant = f"did you mean {' or '.join(near)}? Otherwise give" if near else f"choose from {', '.join(CARDS)}, or give"
    raise ValueError(f"I don't know a card called {name!r}: {meant} its GB, such as 24.")


def several_sizes(card: str | float) -> str:
    """A sentence where `card` stands for cards of several sizes and names none of them; "" elsewhere."""
    match = _found(card)
    if not match or len(match[0].sizes) == 1 or _sized(_plain(card)):
        return ""
    known, size = match
    held = " or ".join(f"{one:g}" for one in sorted(known.sizes))
    other = next(one for one in known.sizes if one != size)
    return (
        f"The {known.name} comes with {held} GB: this is the plan for {size:g}. For the other, "
        f'say "{known.name} {other:g}".'
    )


# Older than Ampere: without bf16, LoRA computes there in fp16.
_NO_BF16 = re.compile(r"GTX|RTX 20\d\d|[PV]100|P40|T4")


def computes_in(card: str | float) -> str:
    """The 16 bits that a card computes in, "bf16" or "fp16"; "bf16" for one that is given by its GB alone."""
    match = _found(card)
    return "fp16" if match and _NO_BF16.match(match[0].name) else "bf16"


_SEVERAL = re.compile(r"\s*(?:(\d{1,9})\s*[x×*]\s*(\S.*)|(\S.*?)\s[x×*]\s?(\d{1,9})\s*)", re.IGNORECASE | re.DOTALL)


def cards_of(said: str) -> tuple[int, str]:
    """How many cards "2x24", "4 x A100 (80 GB)" or "T4 x2" means, and which.
    Raises ValueError for what is none of these."""
    match = _SEVERAL.fullmatch(said)
    if match is None:
        raise ValueError(f"{said!r} names no cards: give their number, an x and their GB or name, such as 2x24.")
    return int(match[1] or match[4]), (match[2] or match[3]).strip()


def card_bytes(card: str | float) -> float:
    """The bytes that a card holds (see `find_card`)."""
    return find_card(card)[1]


def _found(card: str | float) -> tuple[GraphicsCard, float] | None:
    """The card that is named, and its GiB."""
    plain = _plain(card)
    if plain in _NAMES:
        return _NAMES[plain], _NAMES[plain].sizes[0]
    return _sized(plain)


def _sized(plain: str) -> tuple[GraphicsCard, float] | None:
    """The card in "308012": its name with one of its sizes behind it, by what it holds or by what it is sold as."""
    for name, card in _NAMES.items():
        short, laptop, _ = name.partition("laptop")
        for size in card.sizes:
            if plain in (f"{short}{size:g}{laptop}", f"{short}{size * 16 / 15:g}{laptop}"):
                return card, size
    return None


_MAC = re.compile(r"\b(?:i?mac|mac(?:book|os)\w*|apple|mps|m[1-9])\b", re.IGNORECASE)


def _words(name: str) -> set[str]:
    return set(map(_plain, re.split(r"[\s_/-]+", name))) - {""}


def _plain(name: str | float) -> str:
    """A name without maker, make and spaces: "NVIDIA GeForce RTX 4060 Laptop GPU" is 4060laptop."""
    text = f"{name:g}" if isinstance(name, int | float) else str(name).strip().lower()
    text = re.sub(rf"{_ASIDE}|(?<![a-z0-9])(?:{_MAKERS}|{_BUILT})(?![a-z])", " ", text)
    laptop = "workstation" not in str(name).lower() and bool(re.search(_LAPTOP, text))
    text = re.sub(rf"{_LAPTOP}|[\s_:/-]|gi?b\b", "", text)
    return text + "laptop" * laptop


_NAMES = {_plain(card.name): card for card in KNOWN_CARDS}
