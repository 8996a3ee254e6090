"""How many adapters fit: the arithmetic is the model's, the picture is the arithmetic's, and what cannot be is said."""

import pytest
from stills import many_fit_words, refused

from lora_lessons import lora, memory, models, planning
from lora_lessons.lessons.l16 import widget


@pytest.mark.parametrize("targets, r", [("all linear layers", 8), ("q and v", 16)])
def test_an_adapters_bytes_are_two_for_each_number_that_lora_would_train(targets, r):
    net = models.shape("Mistral-7B")
    lora.attach(net, r=r, target_modules=widget.TARGETS[targets])
    assert widget.adapter_bytes("Mistral-7B", targets, r) == 2 * lora.trainable_parameters(net)


def test_the_base_is_as_large_as_the_planner_says():
    assert widget.base_bytes("Llama-2-7B", "16 bits") == 2 * 6_738_415_616
    assert 3.5e9 < widget.base_bytes("Llama-2-7B", "NF4") < 4.5e9


def test_what_is_counted_fits_and_one_more_does_not():
    one = widget.fit_beside("Qwen2.5-7B", "NF4", "all linear layers", "RTX 4090", 4, 16)
    room = (planning.card_bytes("RTX 4090") - memory.CONTEXT_BYTES) / (1 + memory.SLACK)
    held = one.base + 4 * memory.GB
    assert held + one.adapters * one.adapter <= room < held + (one.adapters + 1) * one.adapter
    assert one.merged * one.base + 4 * memory.GB <= room < (one.merged + 1) * one.base + 4 * memory.GB


def test_the_picture_has_the_counts_at_every_rank():
    scene = widget.many_fit_scene(**widget.MANY)
    dot, text = scene.marks
    counts = [widget.fit_beside(**widget.MANY | {"r": r}).adapters for r in scene.stops]
    assert dot.columns["y"] == counts and counts == sorted(counts, reverse=True)
    assert text.columns["text"] == [f"{count:,} adapters" for count in counts]
    assert scene.words[scene.stops.index(8)] == many_fit_words(**widget.MANY)
    assert f"so {counts[3]:,} fit beside the base" in scene.words[3]


def test_where_none_fits_the_dot_stays_in_the_picture():
    scene = widget.many_fit_scene("Llama-2-7B", "16 bits", "all linear layers", "T4", 1, 256)
    assert (
        "so 0 fit beside the base. Of merged models, each as large as the base, the same memory holds 1."
        in scene.words[-1]
    )
    height = scene.backdrop.page["height"]
    dot = next(mark for mark in scene.page()["marks"] if mark["kind"] == "dot")
    assert min(dot["y"]) > 0 and max(dot["y"]) < height


@pytest.mark.parametrize(
    "typed, said",
    [
        ({"card": "RTX 3060"}, "GB are missing for Llama-2-7B in 16 bits and 4 GB of texts on RTX 3060: choose NF4"),
        ({"texts_gb": 16}, "less room for texts"),
        ({"texts_gb": "four"}, "a number of GB such as 4; got 'four'"),
        ({"r": 5000}, "choose 1 ≤ r ≤ 4096"),
        ({"r": 2.5}, "a whole number such as 8"),
        ({"form": "GGUF"}, "format 'GGUF' is not known: choose from 16 bits, NF4"),
        ({"targets": "norms"}, "targets 'norms' is not known"),
        ({"model": "GPT-9"}, "model 'GPT-9' is not known"),
    ],
)
def test_what_cannot_be_is_refused_and_the_picture_stays(typed, said):
    then = widget.MANY | {"r": 64}
    refused(widget.many_fit(), typed, said, then, many_fit_words(**then))
