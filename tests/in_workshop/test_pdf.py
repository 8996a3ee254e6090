"""The lessons on paper: one page of all the articles, whose links and pictures are found from where it stands."""

from workshop import pdf

PAGE = (
    '<html><head><script src="x.js"></script><link href="{up}_static/site.css"></head><body><nav>aside</nav>'
    '<article role="main" id="a"><img loading="lazy" src="{up}_images/{name}.png"><a href="#{name}">below</a>'
    '<a href="https://example.org">there</a></article></body></html>'
)


def test_all_lessons_are_one_page_and_everything_is_found_from_where_it_stands(tmp_path):
    for name, up in (("01_one", "../"), ("deeper/01_more", "../../")):
        (file := tmp_path / "lessons" / f"{name}.html").parent.mkdir(exist_ok=True, parents=True)
        file.write_text(PAGE.format(up=up, name=name), encoding="utf-8")
    text = pdf.paper(tmp_path, ["01_one", "deeper/01_more"])
    assert 'href="_static/site.css"' in text and 'href="#01_one"' in text and 'href="https://example.org"' in text
    assert text.index('<img src="_images/01_one.png">') < text.index('<img src="_images/deeper/01_more.png">')
    assert text.count("<body>") == 1 and not any(word in text for word in ("<script", "aside", "lazy"))
