"""What an engineer imports: the page of the API runs as it stands, and `import lora_lessons` waits for no library."""

import re
import shutil
import subprocess
import sys

import pytest

import lora_lessons
import lora_tools
from lora_lessons.paths import course_root

PAGE = course_root() / "docs" / "api.md"


def test_the_page_runs_as_it_stands_and_shows_every_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(course_root() / "data" / "persona" / "train.jsonl", tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    assert names["plan"].fits and names["report"].all_usable and "True 7." in said
    assert len(names["adapter"].A) == 210 and names["xray"].base is not None
    assert all(file.is_file() for file in names["files"]) and names["files"][0].name == "my_adapter-lora.gguf"
    shown = re.sub(r"`LoRALinear`", "ll.LoRALinear", text)
    assert [name for name in lora_lessons._HERE if f"ll.{name}" not in shown] == []
    assert [name for name in lora_tools._HERE if f"lora_tools.{name}" not in shown] == []


def test_importing_them_imports_no_library_and_a_wrong_name_is_answered_with_the_right_ones():
    code = (
        "import lora_lessons as ll, lora_tools, sys; print(dir(ll), dir(lora_tools)); "
        "print({'torch', 'numpy', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, libraries = done.stdout.splitlines()
    assert "read_adapter" in names and "inspect" in names and libraries == "set()"
    with pytest.raises(AttributeError, match="it has LoRALinear, attach, merge"):
        _ = lora_lessons.atach
    with pytest.raises(AttributeError, match="it has plan, check, inspect"):
        _ = lora_tools.plann


def test_a_room_is_an_attribute_and_what_moved_answers_with_a_word():
    code = (
        "import lora_lessons as ll, lora_tools; print(ll.lora.__name__, ll.memory.Job.__name__); lora_tools.checking; "
        "ll.check.__module__; print(lora_tools.export is ll.export)"
    )
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["lora_lessons.lora Job", "True"]
    assert "DeprecationWarning: ll.check goes in 0.4: import lora_tools, and call lora_tools.check." in done.stderr
