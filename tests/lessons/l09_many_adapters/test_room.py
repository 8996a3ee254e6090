"""09_many_adapters names the llama.cpp that its passes were recorded with."""

import re

from lora_lessons.experiments import recordings
from lora_lessons.paths import course_root


def test_the_lesson_names_the_llama_cpp_that_is_installed():
    root = course_root()
    text = (root / "notebooks" / "deeper/09_many_adapters.ipynb").read_text(encoding="utf-8")
    pinned = (root / "constraints.txt").read_text(encoding="utf-8")
    (named,) = set(re.findall(r"`(xllamacpp==[\d.]+)`", text))
    assert named in pinned.split(), "python -m workshop record serving, before its name is changed"
    assert named == recordings.recorded("lesson_09_passes")["server"]
