"""The table of formats: what is damaged in it is named by row."""

import csv

import pytest

from lora_tools.exporting.formats import table


def row(**changed):
    return {name: "1.5" if name in table.NUMBERS else "x" for name in table.COLUMNS} | {"status": "ok"} | changed


def written(folder, *rows, **how):
    with open(folder / "formats.csv", "w", newline="", **({"encoding": "utf-8"} | how)) as file:
        out = csv.DictWriter(file, table.COLUMNS)
        out.writeheader()
        out.writerows(rows)
    return folder / "formats.csv"


def test_a_table_that_a_spreadsheet_saved_with_a_byte_order_mark_is_read(tmp_path):
    assert table.read(written(tmp_path, row(notes="naïve"), encoding="utf-8-sig"))[0]["notes"] == "naïve"


SHORT_AND_LONG = ["gptq,ok\n", ",".join(["1"] * 30) + "\n"]


@pytest.mark.parametrize(
    "wrong",
    [{"mb": "many"}, {"perplexity": "1,5"}, {"mb": "nan"}, {"mb": "inf"}, {"perplexity": ""}, *SHORT_AND_LONG],
    ids=range(7),
)
def test_a_damaged_row_is_named(tmp_path, wrong):
    rows, more = ([row()], wrong) if isinstance(wrong, str) else ([row(), row(**wrong)], "")
    file = written(tmp_path, *rows)
    file.write_text(file.read_text("utf-8") + more, "utf-8")
    with pytest.raises(ValueError, match="formats.csv: row 3 is damaged: restore"):
        table.read(file)


@pytest.mark.parametrize("data", [b"", b"\xff\xfea\x00", b"\x00" * 9, b"a,b\n1,2\n", b'"' + b"x" * 200_000, b"[]"])
def test_what_is_no_table_is_refused(tmp_path, data):
    (tmp_path / "formats.csv").write_bytes(data)
    with pytest.raises(ValueError, match="formats.csv is no table"):
        table.read(tmp_path / "formats.csv")
