"""The chat box without a browser, on a tiny model: the switch, stopping, what it refuses, its still."""

import json
import re
import threading

import pytest
import torch
from tiny import Letters, shake

from lora_lessons import lora, models
from lora_lessons.course import chat_box as boxes
from lora_lessons.course.on_the_web import SCENE, recorded_on


@pytest.fixture
def base(tiny_model):
    lora.attach(tiny_model, r=2, lora_alpha=4)
    shake(tiny_model, 0.5)
    return models.Base(tiny_model, Letters(), "tiny")


def answer_of(base, question, tokens=6):
    ids = base.tokenizer(question)["input_ids"]
    with torch.no_grad():
        out = base.model.generate(ids, max_new_tokens=tokens, do_sample=False, pad_token_id=2)
    return base.tokenizer.decode(out[0, ids.shape[1] :])


def request(box, number, **words):
    """What the page sends, and the answer to it."""
    box.asked = {"number": number, **words}
    box.wait()
    return box.turns[-1]["answer"] if box.turns else ""


def test_the_switch_turns_the_adapter_off_and_on_again(base):
    with_adapter = answer_of(base, "bread?")
    bare = models.Base(base.model, base.tokenizer, "tiny")
    lora.set_scale(base.model, 0.0)
    without = answer_of(bare, "bread?")
    lora.set_scale(base.model, 1.0)
    box = boxes.chat_box(base, max_new_tokens=6)
    assert with_adapter != without
    assert request(box, 1, question="bread?", adapter=True) == with_adapter
    assert request(box, 2, question="bread?", adapter=False) == without
    assert request(box, 3, question=" bread? ", adapter=True) == with_adapter
    assert [one["adapter"] for one in box.turns] == [True, False, True] and box.heard == 3
    assert box.status.startswith("Done") and not box.busy


def test_the_model_that_was_given_keeps_its_scale_and_its_weights_are_shared(base):
    box = boxes.chat_box(base, max_new_tokens=2)
    request(box, 1, question="a", adapter=False)
    (name, given), (_, shared) = next(lora.lora_layers(base.model)), next(lora.lora_layers(box._base.model))
    assert given.scaling == 2.0 and shared.scaling == 0.0, name
    assert given.lora_A.data_ptr() == shared.lora_A.data_ptr()


def test_stop_ends_the_answer_and_the_next_one_is_whole(base):
    box = boxes.chat_box(base, max_new_tokens=400)
    first, go_on = threading.Event(), threading.Event()

    def hold(change):
        if box.busy and change["new"][-1]["answer"]:
            first.set()
            go_on.wait(600)

    box.observe(hold, "turns")
    box.asked = {"number": 1, "question": "tell me a long story"}
    assert first.wait(600) and box.busy
    box.asked = {"number": 2}  # Stop: a request without a question
    go_on.set()
    box.wait()
    assert box.status == "Stopped." and box.turns[-1]["answer"] and not box.busy and box.heard == 2
    box.unobserve(hold, "turns")
    box._length = 6
    assert request(box, 3, question="bread?") == answer_of(base, "bread?")


def test_what_cannot_be_answered_is_said(base):
    box = boxes.chat_box(base)
    assert request(box, 1, question="   ") == "" and box.status == "Type a question first." and not box.turns
    with pytest.raises(ValueError, match="carries no adapter to switch"):
        lora.detach(base.model)
        boxes.chat_box(base)


def test_an_error_while_writing_is_said_in_the_box(base, monkeypatch):
    box = boxes.chat_box(base)
    monkeypatch.setattr(boxes, "write", lambda *_: 1 / 0)
    request(box, 1, question="bread?")
    assert box.status == "This went wrong: division by zero" and not box.busy


def test_without_a_kernel_the_conversation_can_still_be_read(base):
    box = boxes.chat_box(base, [boxes.turn("bread <b>?", False, "flour"), boxes.turn("bread?", True, "tide")])
    data = box._repr_mimebundle_()[0]
    page = data["text/html"]
    assert "adapter off:</b> bread &lt;b&gt;?" in page and "<dd>tide</dd>" in page and "Run this lesson's cells" in page
    assert "application/vnd.jupyter.widget-view+json" in data


def test_recorded_turns_are_kept_for_a_page_on_which_no_model_runs(base):
    recorded = boxes.turns({"a?": "flour", "b?": "salt"}, {"b?": "tide", "a?": "lamp"})
    assert [(one["question"], one["adapter"], one["answer"]) for one in recorded] == [
        ("a?", False, "flour"),
        ("a?", True, "lamp"),
        ("b?", False, "salt"),
        ("b?", True, "tide"),
    ]
    box = boxes.chat_box(base, recorded[2:], max_new_tokens=2, recorded=recorded)
    request(box, 1, question="asked since", adapter=True)
    kept = json.loads(json.dumps(box._repr_mimebundle_()[0][SCENE]))
    assert (kept["name"], kept["kind"], kept["answers"]["rows"]) == ("chat_box", "chat_box", recorded)
    assert kept["note"] == f"{recorded_on()} In JupyterLab you can ask anything."
    assert kept["state"]["offered"] == ["a?", "b?"] and kept["state"]["turns"] == recorded[2:], "as the cell showed it"
    assert box.offered == [], "where a kernel runs anything can be asked"
    assert SCENE not in boxes.chat_box(base, recorded)._repr_mimebundle_()[0]
    assert set(re.findall(r'model\.get\("(\w+)"\)', str(boxes.ChatBox._esm))) <= kept["state"].keys()
