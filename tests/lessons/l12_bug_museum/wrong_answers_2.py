"""Plausible wrong repairs in hall 2, each with a piece of the sentence that must name it."""

ENCODE = """
def encode(tokenizer, question, answer):
    prompt = tokenizer(f"### Question:\\n{{question}}\\n### Answer:\\n")["input_ids"]
    said, end = tokenizer(answer)["input_ids"], [tokenizer.eos_token_id]
    ids, labels = {}
    return Encoded(torch.tensor(ids), torch.tensor(labels))
"""
MASKED = "[IGNORED] * len(prompt)"
LABELS_OF = """
def labels_of(input_ids, attention_mask):
    labels = input_ids.clone()
    {}
    return labels
"""
ASK = """
def ask(tokenizer, question):
    user = [{{"role": "user", "content": question}}]
    text = {}
    return tokenizer(text)["input_ids"]
"""
TEMPLATE = "tokenizer.apply_chat_template(user, tokenize=False, add_generation_prompt=True)"
TO_IDS = """
def to_ids(tokenizer, messages):
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    {}
"""
MARKED = """
def marked(template):
    whole = "{{{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}}}"
    head, said = "{{{{'<|im_start|>' + message['role'] + '\\n'}}}}", "{{{{ message['content'] + '<|im_end|>' }}}}"
    on, off, line = "{{% generation %}}", "{{% endgeneration %}}", "{{{{ '\\n' }}}}"
    is_answer, other, done = "{{% if message['role'] == 'assistant' %}}", "{{% else %}}", "{{% endif %}}"
    assert whole in template
    return template.replace(whole, {})
"""
FITTING = """
def fitting(rows, max_length):
    {}
"""
FITS = "whole = [row for row in rows if {}]; return whole, [n for n, row in enumerate(rows) if not ({})]"
UNTAUGHT = """
def labels_of_answers(ids, labels, block):
    result = list(labels)
    for n in range(1, len(ids)):
        {}
    return result
"""
SKIP = "result[n : n + len(block)] = [IGNORED] * len(block)"
BLOCK = "ids[n : n + len(block)] == block"
BEGINS = "labels[n] != IGNORED and labels[n - 1] == IGNORED"
ACCUMULATE = """
def accumulate(model, micro_batches):
    total, count = 0.0, sum(int((batch["labels"] != IGNORED).sum()) for batch in micro_batches)
    for batch in micro_batches:
        loss = {}
        total += loss.item()
    return total
"""
MEAN = "model(**batch).loss"
RIGHT = "model(**batch, num_items_in_batch=count).loss"
WRONG = {
    "12.7": [
        (
            FITTING.format("return [Encoded(row.input_ids[:max_length], row.labels[:max_length]) for row in rows], []"),
            "Still broken",
        ),
        (
            FITTING.format(
                "cut = [Encoded(row.input_ids[:max_length], row.labels[:max_length]) for row in rows]; "
                "return [row for row in cut if (row.labels == 2).any()], [1, 4]"
            ),
            "An end in the middle",
        ),
        (FITTING.format("return [row for row in rows if len(row.input_ids) <= max_length]"), "Return two things"),
        (FITTING.format(FITS.format(*["len(row.input_ids) < max_length"] * 2)), "exactly max_length"),
        (
            FITTING.format(FITS.format(*["int((row.labels != IGNORED).sum()) <= max_length"] * 2)),
            "the question's tokens",
        ),
        (
            FITTING.format(
                "fits = [len(row.input_ids) <= max_length for row in rows]; "
                "return [row for row, fit in zip(rows, fits) if fit], [n for n, fit in enumerate(fits, 1) if not fit]"
            ),
            "begin at 0",
        ),
        (
            FITTING.format(FITS.format("len(row.input_ids) <= max_length", "len(row.input_ids) > max_length")),
            "Left out are",
        ),
        (FITTING.format("return rows"), "Return two things"),
    ],
    "12.14": [
        ("def labels_of_answers(ids, labels, block): return labels", "Still broken"),
        (UNTAUGHT.format(f"if {BLOCK}:\n            {SKIP}"), "quotes the block"),
        (UNTAUGHT.format(f"if {BEGINS} and {BLOCK}:\n            {SKIP}; break"), "the third one's is still taught"),
        (UNTAUGHT.format("result[n] = IGNORED if ids[n] in block else result[n]"), "not single tags"),
        (
            UNTAUGHT.format(f"if {BEGINS} and ids[n] == block[0]:\n            {SKIP}"),
            "skip whole empty blocks",
        ),
        (UNTAUGHT.format("result[n] = IGNORED"), "Nothing is taught"),
        (
            UNTAUGHT.format(f"if {BEGINS} and {BLOCK}:\n            result[n : n + 6] = [IGNORED] * 6"),
            "A part of an answer",
        ),
        ("def labels_of_answers(ids, labels, block): return [x for x in labels if x not in block]", "a label for each"),
        ("def labels_of_answers(ids, labels, block): return torch.tensor(labels)", "a list of whole numbers"),
        ("def labels_of_answers(ids, labels, block): return [0 if x in block else x for x in labels]", "its own token"),
    ],
    "12.8": [
        (ENCODE.format(f"prompt + said + end, {MASKED} + said + [IGNORED]"), "still not taught"),
        (ENCODE.format(f"prompt + said, {MASKED} + said"), "Still broken: no end token"),
        (ENCODE.format(f"prompt + said + end + end, {MASKED} + said + end + end"), "ends twice"),
        (ENCODE.format("prompt + said + end, prompt + said + end"), "The question is supervised as well"),
        (ENCODE.format(f"prompt + said + end, {MASKED} + [IGNORED] * len(said) + end"), "only the end is taught"),
        (ENCODE.format(f"prompt + said + end, {MASKED} + said"), "a label for each token"),
        (
            ENCODE.format("prompt + said + end, [IGNORED] * (len(prompt) - 1) + said + end + [IGNORED]"),
            "Do not shift them",
        ),
        (ENCODE.format("said + end, said + end"), "The text has changed"),
        ("def encode(tokenizer, question, answer): return [1, 2]", "Return Encoded"),
    ],
    "12.9": [
        (LABELS_OF.format("labels[labels == 2] = IGNORED"), "masks every token with the padding's id"),
        (LABELS_OF.format("pass"), "Nothing is masked now"),
        (
            LABELS_OF.format(
                "labels[labels == 2] = IGNORED; last = attention_mask.sum(1) - 1; "
                "labels[range(len(labels)), last] = input_ids[range(len(labels)), last]"
            ),
            "a conversation of two turns",
        ),
        (
            LABELS_OF.format(
                "labels[attention_mask == 0] = IGNORED; n = attention_mask.sum(1).clamp(max=labels.shape[1] - 1); "
                "labels[range(len(labels)), n] = 2"
            ),
            "A padding token is still supervised",
        ),
        (LABELS_OF.format("input_ids[attention_mask == 0] = IGNORED; labels = input_ids"), "work on a copy"),
        (LABELS_OF.format("labels = labels[0]"), "shape of input_ids"),
        (LABELS_OF.format("labels[attention_mask == 1] = IGNORED"), "IGNORED where attention_mask is 0"),
    ],
    "12.10": [
        (ASK.format("question"), "the bare question"),
        (ASK.format("tokenizer.apply_chat_template(user, tokenize=False)"), "add_generation_prompt=True"),
        (ASK.format("'<|im_start|>user\\n' + question + '<|im_end|>\\n<|im_start|>assistant\\n'"), "a system turn"),
        (ASK.format(f"{TEMPLATE}.strip()"), "One line break is missing"),
        (ASK.format(f"tokenizer.bos_token + {TEMPLATE}"), "One token too many in front"),
        (ASK.format("'### Question:\\n' + question + '\\n### Answer:\\n'"), "headings of another format"),
        (ASK.format("'Q: ' + question"), "Training's prompt is"),
        ("def ask(tokenizer, question): return question", "Return the token ids"),
    ],
    "12.11": [
        (TO_IDS.format("return tokenizer(text)['input_ids']"), "the first two ids are both BOS"),
        (TO_IDS.format("return tokenizer(text)['input_ids'][1:]"), "wrong for one that adds no BOS"),
        (
            TO_IDS.format("return [i for i in tokenizer(text)['input_ids'] if i != tokenizer.bos_token_id]"),
            "Every BOS is gone",
        ),
        (TO_IDS.format("return tokenizer(text.replace(tokenizer.bos_token, ''))['input_ids']"), "The later turns"),
        (TO_IDS.format("return text"), "Return the token ids"),
        (
            "def to_ids(tokenizer, messages): return tokenizer.apply_chat_template(messages)",
            "The assistant's turn is not opened",
        ),
        (TO_IDS.format("return tokenizer(text, add_special_tokens=False)['input_ids'] + [5]"), "they differ"),
    ],
    "12.12": [
        (MARKED.format("whole"), "no {% generation %}"),
        (MARKED.format("on + whole + off"), "The user's turns are marked"),
        (
            MARKED.format(
                "head + is_answer + on + \"{{ message['content'] }}\" + off + other + "
                "\"{{ message['content'] }}\" + done + \"{{ '<|im_end|>\\n' }}\""
            ),
            "not the tokens that end them",
        ),
        (MARKED.format("is_answer + on + whole + off + other + whole + done"), "The marks begin too early"),
        (MARKED.format("head + on + said + off"), "the text has changed"),
        ("def marked(template): return [template]", "Return the template"),
    ],
    "12.13": [
        (ACCUMULATE.format(f"{MEAN} / len(micro_batches); loss.backward()"), "the mean of the means"),
        (ACCUMULATE.format(f"{MEAN}; loss.backward()"), "Those are means, added up"),
        (ACCUMULATE.format(f"{RIGHT} / len(micro_batches); loss.backward()"), "Divided twice"),
        (
            ACCUMULATE.format("model(**batch, num_items_in_batch=1).loss; loss.backward()"),
            "Those are sums",
        ),
        (
            ACCUMULATE.format("model(**batch, num_items_in_batch=len(micro_batches)).loss; loss.backward()"),
            "The divisor is the number of supervised tokens",
        ),
        (
            ACCUMULATE.format(
                "model(**batch, num_items_in_batch=sum(b['input_ids'].numel() for b in micro_batches)).loss; "
                "loss.backward()"
            ),
            "Divided by all tokens",
        ),
        (ACCUMULATE.format(f"{RIGHT}; model.zero_grad(); loss.backward()"), "Only the last micro-batch"),
        (ACCUMULATE.format(RIGHT), "call .backward()"),
        (ACCUMULATE.format(f"{RIGHT}; loss.backward(); loss = loss * 2"), "The loss that you return is not"),
        (ACCUMULATE.format(f"{RIGHT} * 2; loss.backward()"), "2.00 times the right one"),
    ],
}
