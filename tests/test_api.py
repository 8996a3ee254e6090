"""What an engineer imports: the front pages wait for no library, and answer a wrong name with the right ones."""

import subprocess
import sys

import pytest

import lora_lessons
import lora_tools


def test_importing_them_imports_no_library_and_a_wrong_name_is_answered_with_the_right_ones():
    code = (
        "import lora_lessons as ll, lora_tools, sys; print(dir(ll), dir(lora_tools)); "
        "print({'torch', 'numpy', 'transformers'} & set(sys.modules)); "
        "print(ll.lora.__name__, ll.memory.Job.__name__); lora_tools.checking"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, libraries, rooms = done.stdout.splitlines()
    assert "read_adapter" in names and "inspect" in names and libraries == "set()"
    assert rooms == "lora_lessons.lora Job", "a room is an attribute"
    with pytest.raises(AttributeError, match="it has LoRALinear, attach, merge"):
        _ = lora_lessons.atach
    with pytest.raises(AttributeError, match="it has plan, check, inspect"):
        _ = lora_tools.plann
