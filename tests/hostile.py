"""One hostile string for whatever is shown: what it tries in HTML, in Markdown, in formulas and on a terminal;
and a harmless one."""

NOWHERE = "http://hostile.invalid/"
PAGE = (
    "\"'></pre></td></details></title></style></script><script>window.hacked=1</script>"
    f'<img src="{NOWHERE}a" onerror="window.hacked=2"><svg onload="window.hacked=3"></svg>'
    '<iframe srcdoc="<script>parent.hacked=4</script>"></iframe> '
    f"[a](javascript:window.hacked=5) ![b]({NOWHERE}b) <{NOWHERE}c> {NOWHERE}d www.example.org "
    "&lt;img src=x onerror=window.hacked=6&gt; &#60;script&#62;window.hacked=7&#60;/script&#62; "
    "$\\href{javascript:window.hacked=8}{x}$ \\(y\\) "
    "$$z$$ \\begin{align}u\\end{align} `code` ``` **bold** _em_ ~~gone~~ | cell | "
)
# colours, a title, a C1 code, an override and a mark of direction, what has no width, other ends of a line
TERMINAL = "\x1b[31m\x1b]0;title\x07\x9b2J\x08\u202e\u200f\u200b\u2028\u2066\ufeff\U000e0041\r!"
HOSTILE = f"{PAGE}\n\n# heading\n- item\n\n<div>\n{TERMINAL}"
HARMLESS = "harmless words\n\na heading\nan item\n\na line\nthe end"
# for a file's or a folder's name
NAME = "<img src=x onerror=window.hacked=9>&lt;b&gt; $x$ `a` [a](javascript:window.hacked=10) '\"|\x1b[31m\u202e"
# what a terminal must not be sent; a progress bar's own moves aside
UNSEEN = {character for character in TERMINAL if not character.isprintable()}
