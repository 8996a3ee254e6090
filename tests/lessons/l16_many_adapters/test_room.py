"""Lesson 16 names the llama.cpp that it was run with."""

import re

from lora_lessons.paths import course_root


def test_the_lesson_names_the_llama_cpp_that_is_installed():
    root = course_root()
    text = (root / "notebooks" / "16_many_adapters.ipynb").read_text(encoding="utf-8")
    pinned = (root / "constraints.txt").read_text(encoding="utf-8")
    (named,) = set(re.findall(r"`(xllamacpp==[\d.]+)`", text))
    assert named in pinned.split(), "run section 6 with the new version before its name is changed"
