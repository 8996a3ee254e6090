"""A chat template of transformers as one of Ollama's: found among known forms by what it renders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jinja2

from lora_lessons.errors import STUMBLES
from lora_lessons.models.chat_template import check_template, check_text

from . import gotemplate
from .gotemplate import Talk


def _talk(*contents: str, system: str | None = None) -> Talk:
    roles = ("user", "assistant")
    first = [] if system is None else [{"role": "system", "content": system}]
    return first + [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]


TALKS: dict[str, Talk] = {
    "one question": _talk("What is 12 × 7?"),
    "a question with a system message": _talk("Name a colour.", system="Answer in one word."),
    "three turns": _talk("Hello", "Hi! How can I help?", "Bye"),
    "five turns with a system message": _talk(
        "One?", "Two.", "Three?", "Four.", "Five?", system="You count.\n\nIn words."
    ),
    "odd text inside": _talk('{{ .Role }} "quoted"\n\n\tif a  <  b:', "```\nx = [1]\n```", "naïve 🙂 {% raw %} it's"),
}
# Here templates differ in ways that Go's cannot follow (it cannot trim a text): told, not refused.
ODD_TALKS: dict[str, Talk] = {
    "a text with spaces and line breaks at its ends": _talk(" Hello \n", "\n Hi! ", "\tBye\n\n"),
    "an empty system message": _talk("Hello", system=""),
}


class ChatForm(NamedTuple):
    """How a model wants to be spoken to, asked of its own chat template."""

    render: Callable[[Talk], str | None]  # ready for an answer, without begin-of-text; None: it refuses these roles
    system: str | None  # what it says when nobody gives a system message
    takes_system: bool
    end: str  # the special token after an answer; empty where there is none


def chat_form(render: Callable[[Talk], str], begin: str, special: Iterable[str]) -> ChatForm:
    """The form of a chat template; `render` is it, `begin` the begin-of-text that a runner adds,
    `special` all such tokens."""

    def rendered(talk: Talk) -> str | None:
        try:
            return render(talk).removeprefix(begin)
        except (jinja2.TemplateError, *STUMBLES):  # raise_exception: the template refuses these roles
            return None

    marked, plain = rendered(_talk("u", system="SYSTEM-TEXT")), rendered(_talk("u"))
    system = None
    if marked and plain and "SYSTEM-TEXT" in marked:
        before, _, after = marked.partition("SYSTEM-TEXT")
        written = plain[len(before) : len(plain) - len(after)]
        if written and rendered(_talk("u", system=written)) == plain:
            system = written
    answered = (rendered(_talk("u", "ANSWER-TEXT", "v")) or "").partition("ANSWER-TEXT")[2].lstrip(" ")
    end = max((token for token in special if token and answered.startswith(token)), key=len, default="")
    return ChatForm(rendered, system, marked is not None, end)


def of_tokenizer(tokenizer: Any) -> ChatForm:
    """The form of a transformers tokenizer.

    Raises ValueError when it has no chat template, ModelError for one that does not end or cannot run.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            "the tokenizer has no chat template, so nobody can say what Ollama should send: take an Instruct model, "
            "or set tokenizer.chat_template to what the adapter was trained with and save it."
        )

    check_template(tokenizer, getattr(tokenizer, "name_or_path", "") or "the tokenizer")

    def render(talk: Talk) -> str:
        return tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)

    adds = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    special = [*tokenizer.all_special_tokens, *(token.content for token in tokenizer.added_tokens_decoder.values())]
    return chat_form(render, tokenizer.bos_token if adds else "", special)


def of_gguf(reader: Any, source: str = "the GGUF") -> ChatForm | None:
    """The form that a GGUF's own tokenizer.chat_template asks for, rendered as transformers does; None: it has none.

    Raises ModelError, which calls it `source`, for a template that does not end or cannot run.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    template = field(reader, "tokenizer.chat_template", str)
    if not template:
        return None
    check_text(template, source)
    names: dict[str, Any] = {f"{kind}_token": token(reader, kind) or "" for kind in ("bos", "eos")}

    def render(talk: Talk) -> str:
        return render_jinja_template([talk], chat_template=template, add_generation_prompt=True, **names)[0][0]

    adds = field(reader, "tokenizer.ggml.add_bos_token")
    if adds is None:  # llama.cpp's own default
        adds = field(reader, "tokenizer.ggml.model") == "llama"
    return chat_form(render, names["bos_token"] if adds else "", _special(reader))


def field(reader: Any, key: str, kind: type | tuple[type, ...] = object) -> Any:
    """A GGUF's value of that name; None where it has none, or one of another kind."""
    entry = reader.get_field(key)
    try:
        value = None if entry is None else entry.contents()
    except (ValueError, LookupError, TypeError):  # bytes that are no text, a list that was cut
        return None
    return value if isinstance(value, kind) and (kind is object or not isinstance(value, bool)) else None


def token(reader: Any, kind: str) -> str | None:
    """The text of the GGUF's bos, eos or eot token."""
    number, tokens = field(reader, f"tokenizer.ggml.{kind}_token_id", int), _tokens(reader)
    return tokens[number] if number is not None and 0 <= number < len(tokens) else None


def _tokens(reader: Any) -> list[str]:
    """The texts of all tokens; empty where they are damaged."""
    texts = field(reader, "tokenizer.ggml.tokens", list) or []
    return texts if all(isinstance(text, str) for text in texts) else []


def _special(reader: Any) -> list[str]:
    """The tokens that are no text (control, user-defined)."""
    from gguf import TokenType

    kinds = field(reader, "tokenizer.ggml.token_type", list) or []
    marked = (TokenType.CONTROL, TokenType.USER_DEFINED)
    return [text for text, kind in zip(_tokens(reader), kinds, strict=False) if kind in marked]


# What a chat template calls the tools that it writes into a conversation.
TOOLS = re.compile(r"\btools\b")
TOOL_CALLS = (
    "The base's chat template writes tools, and Ollama runs no chat template: without RENDERER and PARSER in the "
    "Modelfile a tool call comes back as text, or not at all. If Ollama's library has this model, take both lines from "
    "`ollama show MODEL --modelfile`, and look at your own with it after `ollama create`, "
    "which has been seen to drop them."
)


def without_tools(tokenizer: Any) -> list[str]:
    """A remark where the tokenizer's chat template writes tools, which Ollama leaves to RENDERER and PARSER."""
    return [TOOL_CALLS] if TOOLS.search(str(tokenizer.chat_template)) else []


class Difference(NamedTuple):
    """Where Ollama would send another text than the model's own chat template makes."""

    talk: str
    found: str
    expected: str

    @property
    def at(self) -> int:
        """How many characters agree."""
        pairs = zip(self.found, self.expected, strict=False)
        return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(self.found), len(self.expected)))

    def __str__(self) -> str:
        a, b = (text[max(0, self.at - 20) : self.at + 30] for text in (self.found, self.expected))
        return (
            f"For {self.talk}, Ollama would send …{a!r}… where apply_chat_template has …{b!r}… (character {self.at})."
        )


def compare(template: str, form: ChatForm, system: str | None) -> tuple[list[Difference], list[Difference]]:
    """Faults and remarks: the TALKS and the ODD_TALKS that Ollama, with this TEMPLATE and SYSTEM,
    would send differently.

    Ollama puts SYSTEM before the messages unless they start with a system message (its server/routes.go, read in
    2026-11). Raises TemplateError for a TEMPLATE that Ollama could not render,
    ValueError for a form that refuses one question.
    """
    faults: list[Difference] = []
    remarks: list[Difference] = []
    for name, talk in (TALKS | ODD_TALKS).items():
        given = talk if talk[0]["role"] == "system" or not system else [{"role": "system", "content": system}, *talk]
        expected = form.render(talk if system == form.system else given)
        if expected is None:
            if talk[0]["role"] != "system" and len(talk) == 1:
                raise ValueError("the model's own chat template refuses one question: mend it before you export.")
            continue
        sent = gotemplate.chat(template, given)
        if sent != expected:
            (faults if name in TALKS else remarks).append(Difference(name, sent, expected))
    return faults, remarks


def choose_template(form: ChatForm, system: str | None = None) -> tuple[str, list[Difference]]:
    """The name of the one of TEMPLATES that renders as the model's own, and remarks. `system`: SYSTEM, or None.

    Raises ValueError, with the first difference of the nearest, when none does.
    """
    failed: list[tuple[int, int, str]] = []
    for name, template in TEMPLATES.items():
        faults, remarks = compare(template, form, system)
        if not faults:
            return name, remarks
        failed.append((-len(faults), faults[0].at, f"{name} comes nearest. {faults[0]}"))
    raise ValueError(
        f"no Go template known here renders as this model's chat template. {max(failed)[2]} Write one for it and pass "
        "it with --template FILE (it is compared in the same way), or use llama.cpp, which runs the model's own."
    )


TEMPLATES = {
    "ChatML": """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
""",
    "Llama 3": """{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>

""",
    "Llama 2": """{{- range $i, $m := .Messages }}
{{- if eq .Role "user" }}[INST] {{ if and $.System (eq $i 1) }}<<SYS>>
{{ $.System }}
<</SYS>>

{{ end }}{{ .Content }} [/INST]
{{- else if eq .Role "assistant" }} {{ .Content }} </s><s>{{ end }}
{{- end }}""",
    "Mistral 0.1": """{{- range .Messages }}
{{- if eq .Role "user" }}[INST] {{ .Content }} [/INST]
{{- else if eq .Role "assistant" }}{{ .Content }}</s>{{ end }}
{{- end }}""",
    "Mistral 0.1, with a space": """{{- range .Messages }}
{{- if eq .Role "user" }}[INST] {{ .Content }} [/INST]
{{- else if eq .Role "assistant" }}{{ .Content }}</s> {{ end }}
{{- end }}""",
    "Mistral 0.2": """{{- range $i, $m := .Messages }}
{{- if eq .Role "user" }} [INST] {{ if and $.System (eq $i 1) }}{{ $.System }}

{{ end }}{{ .Content }} [/INST]
{{- else if eq .Role "assistant" }} {{ .Content }}</s>{{ end }}
{{- end }}""",
    "Mistral 0.3": """{{- range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}[INST] {{ if and $.System $last }}{{ $.System }}

{{ end }}{{ .Content }}[/INST]
{{- else if eq .Role "assistant" }} {{ .Content }}</s>{{ end }}
{{- end }}""",
}
