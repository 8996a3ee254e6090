"""Cards by the names that people write, and the size that is meant."""

import pytest

from lora_lessons import memory, planning
from lora_lessons.planning import cards


def test_a_card_holds_gib():
    assert planning.card_bytes("RTX 4090") == 24 * 2**30 == pytest.approx(25.77 * memory.GB, rel=1e-3)


@pytest.mark.parametrize(
    "said, name, gib",
    [
        ("RTX 4090", "RTX 4090", 24),
        ("4090", "RTX 4090", 24),
        ("nvidia geforce rtx 3090", "RTX 3090", 24),
        ("3060 12", "RTX 3060", 12),
        ("t4", "T4", 14.56),  # for a process
        ("T4 16GB", "T4", 14.56),  # as it is sold
        ("L4", "L4", 22.5),
        ("A100 40", "A100 40", 40),
        ("a100 80gb", "A100 80", 80),
        ("NVIDIA A100-SXM4-80GB", "A100 80", 80),
        ("h100", "H100", 80),
        ("H200", "H200", 141),
        ("1080", "GTX 1080", 8),
        ("RTX 1660", "GTX 1660", 6),
        ("4070", "RTX 4070", 12),
        ("4070 Ti Super", "RTX 4070 Ti Super", 16),
        ("4060 laptop", "RTX 4060 laptop", 8),
        ("NVIDIA GeForce RTX 4080 Laptop GPU", "RTX 4080 laptop", 12),
        ("P100 16", "P100 16", 16),
        ("A10G", "A10G", 22.5),
        ("AMD Instinct MI300X", "MI300X", 192),
        ("NVIDIA L40", "L40", 45),
        ("RTX PRO 4500 Blackwell", "RTX PRO 4500", 32),
        ("RTX PRO 5000 72GB", "RTX PRO 5000 72", 72),
        ("Radeon RX 9070 XT", "RX 9070 XT", 16),
        ("24", "A card of 24 GB", 24),
        ("24GB", "A card of 24 GB", 24),
        ("24 GB VRAM", "A card of 24 GB", 24),
        ("24 gigabytes of memory", "A card of 24 GB", 24),
        ("24g", "A card of 24 GB", 24),
        ("A100 (80GB)", "A100 80", 80),
        ("A100/80GB", "A100 80", 80),
        ("GeForce RTX™ 4090 (24 GB)", "RTX 4090", 24),
        ("rtx3060 12 GB VRAM", "RTX 3060", 12),
        ("11 GiB", "A card of 11 GB", 11),
        ("256 GB", "A card of 256 GB", 256),
        ("288", "A card of 288 GB", 288),
        ("Radeon AI PRO R9700", "AI PRO R9700", 32),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "RTX PRO 6000", 96),
        (24.0, "A card of 24 GB", 24),
        (6, "A card of 6 GB", 6),
    ],
)
def test_cards_by_name_or_size(said, name, gib):
    assert planning.find_card(said) == (name, gib * 2**30) and planning.several_sizes(said) == ""


@pytest.mark.parametrize("said, gib, other", [("3080", 10, 12), ("A100", 40, 80), (3080, 10, 12), ("rtx 3060", 12, 8)])
def test_a_name_of_several_sizes_takes_one_and_says_so(said, gib, other):
    assert planning.card_bytes(said) == gib * 2**30
    sentence = planning.several_sizes(said)
    named = sentence.rpartition('say "')[2].removesuffix('".')
    assert f"for {gib}" in sentence and planning.card_bytes(named) == other * 2**30


def test_every_known_card_is_found_by_its_name_and_names_its_vendor():
    for card in cards.KNOWN_CARDS:
        for size in card.sizes:
            held = cards.FOR_A_PROCESS.get(card.name, size)
            assert planning.card_bytes(f"{card.name} {size:g}") == held * 2**30, card
        assert planning.card_bytes(card.name) == cards.FOR_A_PROCESS.get(card.name, card.sizes[0]) * 2**30
        assert card.source.startswith(
            ("https://www.nvidia.com/", "https://rocm.docs.amd.com/", "https://aws.amazon.com/")
        )
    assert all(planning.card_bytes(name) == size * 2**30 for name, size in planning.CARDS.items())


@pytest.mark.parametrize("said", ["GTX 1", "RTX 24", "289", "", "0", "-4", "24 TB", "nan", "inf", None, 0.0])
def test_what_is_no_card_is_refused(said):
    with pytest.raises(ValueError, match="I don't know a card called .*: choose from RTX 3060, .*, or give its GB"):
        planning.card_bytes(said)


@pytest.mark.parametrize("said, sentence", [
    *[(said, f"did you mean .*{near}")
      for said, near in {"RTX 6000": "RTX 6000 Ada", "4090m": "4090", "300": "3090"}.items()],
    *[("Colab T4", r"did you mean T4\?"), ("RTX 6000 Pro", r"did you mean RTX PRO 6000\?")],
    *[(said, "is a Mac's chip.*Leave --gpu out, and") for said in ("M2 Max", "MacBook Pro 16 GB", "Apple")],
])  # fmt: skip
def test_what_is_nearly_a_card_names_those_that_it_may_be(said, sentence):
    with pytest.raises(ValueError, match=sentence):
        planning.card_bytes(said)


@pytest.mark.parametrize(
    "said, cards, one", [("2xT4", 2, "T4"), ("T4 x2", 2, "T4"), ("4 x RTX 3090", 4, "RTX 3090"), ("2x24", 2, "24")]
)
def test_several_cards_are_no_card_and_the_way_to_plan_them_is_named(said, cards, one):
    assert planning.cards_of(said) == (cards, one)
    with pytest.raises(ValueError, match=f'means several cards.*say {one} where each.*--cards "{cards}x{one}" where'):
        planning.find_card(said)
