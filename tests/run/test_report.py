"""The report finds figures and verdicts in the outputs of an executed notebook."""

import nbformat

from lora_lessons.run import report

PNG = "iVBORw0KGgo="


def test_figures_and_verdicts_come_from_the_outputs():
    new = nbformat.v4.new_output
    cell = nbformat.v4.new_code_cell(
        "x",
        outputs=[
            new("display_data", {"image/png": PNG + "\n", "text/plain": "<Figure>"}),
            new("display_data", {"text/markdown": "*In words:* it falls."}),
            new("display_data", {"image/png": PNG}),
            new("display_data", {"text/html": "<div><b>G07</b> says<br><b>Verdict: corrected.</b> 5 &gt; 4</div>"}),
        ],
    )
    book = nbformat.v4.new_notebook(cells=[cell])
    assert list(report.figures(book)) == [(PNG, "it falls."), (PNG, "")]
    assert list(report.verdicts(book)) == ["G07 says · Verdict: corrected. 5 > 4"]
    assert list(report.figures(None)) == []
