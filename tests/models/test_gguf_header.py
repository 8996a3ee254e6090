"""A GGUF whose header counts more than it holds is refused at once: its reader would never end."""

import struct
import time

import gguf as library
import pytest
from random_ggufs import LITTLE, q4_k_m, write

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_lessons.models.gguf_header import Header, Listed, read_header
from lora_tools.exporting import gguf

HUGE = 2**62


def text(words):
    return struct.pack("<Q", len(words)) + words


def header(tensors=0, fields=0, rest=b"", version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + rest


def field(kind, value, key=b"a.b"):
    return text(key) + struct.pack("<I", kind) + value


DAMAGED = {
    "no magic": b"GGML" + header()[4:],
    "empty": b"",
    "four bytes": b"GGUF",
    "cut in the counts": header()[:15],
    "many tensors": header(tensors=HUGE),
    "many fields": header(fields=HUGE),
    "a few too many fields": header(fields=3),
    "a long key": header(fields=1, rest=struct.pack("<Q", HUGE) + b"x" * 40),
    "a long text": header(fields=1, rest=field(8, struct.pack("<Q", HUGE))),
    "a long list of numbers": header(fields=1, rest=field(9, struct.pack("<IQ", 4, HUGE))),
    "a long list of texts": header(fields=1, rest=field(9, struct.pack("<IQ", 8, HUGE))),
    "a long list of empty texts": header(fields=1, rest=field(9, struct.pack("<IQ", 8, 2**40) + b"\0" * 800)),
    "a list of lists": header(fields=1, rest=field(9, struct.pack("<IQIQ", 9, 1, 4, 0))),
    "an unknown type": header(fields=1, rest=field(77, b"\0" * 8)),
    "a list of an unknown type": header(fields=1, rest=field(9, struct.pack("<IQ", 77, HUGE))),
    "many dimensions": header(tensors=1, rest=text(b"w") + struct.pack("<I", 2**31) + b"\0" * 40),
    "aligned to nothing": header(fields=1, rest=field(4, struct.pack("<I", 0), b"general.alignment")),
    "aligned to a word": header(fields=1, rest=field(8, text(b"32"), b"general.alignment")),
    "cut in a tensor": header(tensors=1, rest=text(b"w" * 20) + struct.pack("<IQ", 1, 4)),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_header_is_refused_at_once(tmp_path, data):
    file = tmp_path / "x.gguf"
    file.write_bytes(data)
    begun = time.process_time()  # of the processor: it does not depend on what else the machine does
    with pytest.raises(ValueError):
        read_header(file)
    with pytest.raises(ValueError, match="x.gguf is no whole GGUF"):
        gguf.read(file)
    with pytest.raises(ModelError, match="could not be loaded"):
        models.load(file, precision="fp32")
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_whole_header_of_either_byte_order_is_walked_to_its_end(tmp_path, order):
    def pack(form, *values):
        return struct.pack(order + form, *values)

    numbers, words = pack("IQ3I", 4, 3, 1, 2, 3), pack("IQ", 8, 2) + pack("Q", 1) + b"a" + pack("Q", 0)
    fields = [pack("Q", 1) + b"a" + pack("I", 9) + numbers, pack("Q", 1) + b"b" + pack("I", 9) + words]
    fields.append(pack("Q", 1) + b"c" + pack("Id", 12, 1.5))
    tensor = pack("Q", 1) + b"w" + pack("IQQIQ", 2, 4, 4, 0, 0)
    whole = b"GGUF" + pack("IQQ", 3, 1, len(fields)) + b"".join(fields) + tensor
    (tmp_path / "x.gguf").write_bytes(whole)
    expected = {"w": Listed((4, 4), 0, -(-len(whole) // 32) * 32)}
    assert read_header(tmp_path / "x.gguf") == Header({"c": 1.5}, expected, swapped=order == ">")
    (tmp_path / "x.gguf").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="middle of its header"):
        read_header(tmp_path / "x.gguf")


@pytest.mark.parametrize("alignment", [None, 256])
def test_a_tensor_lies_where_the_gguf_library_finds_it(tmp_path, alignment):
    file = write(tmp_path / "x.gguf", "llama", q4_k_m(1), fields={"general.alignment": alignment}, **LITTLE)
    reader, header = library.GGUFReader(file), read_header(file)
    found = {name: (one.sizes, one.type, one.offset) for name, one in header.tensors.items()}
    assert found == {one.name: (tuple(map(int, one.shape)), one.tensor_type, one.data_offset) for one in reader.tensors}
    single = {
        name: one.contents() for name, one in reader.fields.items() if one.types[0] != library.GGUFValueType.ARRAY
    }
    assert header.fields == {name: value for name, value in single.items() if not name.startswith("GGUF.")}


def test_a_file_that_is_not_there_is_no_whole_gguf(tmp_path):
    with pytest.raises(ValueError, match="is no whole GGUF"):
        gguf.read(tmp_path / "nothing.gguf")
