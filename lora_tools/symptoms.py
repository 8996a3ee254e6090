"""From a learner's words to the suspects: words count by their stems, and the rarer a stem, the more it says.

Its weights and bounds were chosen on one half of tests/lessons/l12_bug_museum/threads.jsonl, and judged on the other.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections import Counter
from collections.abc import Set
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from lora_lessons.exhibits import Exhibit, Suspect, place, suspects

# What learners call one thing; the first of each line stands for all. The filter on the web reads the same lines.
ALIKE = """
fall falls falling fell drop drops dropped decrease decreases decreased decreasing goes-down went-down sinks
flat stuck plateau plateaus constant does-not-fall doesnt-fall not-falling does-not-decrease doesnt-decrease \
not-decreasing does-not-go-down doesnt-go-down not-going-down isnt-going-down wont-go-down
rises rise rising rose increases climbs climbing goes-up going-up went-up
gradient gradients grad grads
text answer answers answered output outputs reply replies response responses generation generations completion \
completions says
same unchanged identical unaffected no-effect not-applied never-applied isnt-applied no-op noop takes-no-effect \
never-take-effect never-takes-effect no-difference changes-nothing nothing-changes nothing-changed does-nothing \
did-nothing no-change as-if-untrained as-if-never-trained as-if-it-had-never-been-trained
weak weaker barely hardly faint little slightly tiny-effect almost-nothing
strong stronger exaggerated overreacts overdone
endless never-stops never-stop never-ends never-end goes-on doesnt-stop does-not-stop not-stop wont-stop \
will-not-stop learn-to-stop learned-to-stop learns-to-stop when-to-stop how-to-stop keeps-talking keeps-going \
keeps-generating rambles forever endlessly nonstop cannot-terminate never-terminates does-not-terminate \
never-learned-to-stop past-the-end not-stopping isnt-stopping
bos bos-token begin-of-text beginning-of-text begin-of-sequence beginning-of-sequence
eos eos-token end-token end-of-turn end-of-text end-of-sequence eot
max-length max-seq-length max-sequence-length max-seq-len seq-length seq-len cutoff-len
truncate truncated truncates truncating truncation cut cuts chopped clipped clips
think thinks thinking thought reasoning chain-of-thought cot
tag tags marks markers
gibberish garbage nonsense rubbish junk garbled word-salad broken-text babble
memory vram ram oom ooms out-of-memory outofmemory outofmemoryerror
crash crashes crashed crashing dies died killed
nan nans not-a-number
forget forgets forgot forgotten forgetting catastrophic-forgetting
memorise memorised memorises memorising memorize memorized memorizes memorizing overfit overfits overfitted \
overfitting over-fit over-fits over-fitted over-fitting learned-by-heart verbatim
large big huge enormous bloated gigantic
lower worse bad poor poorly degraded ruined destroyed
train trains trained training trainable sft finetune finetuning finetuned fine-tune fine-tuned fine-tuning tuning
load loads loaded loading reload reloaded reloading open opens opened
save saves saved saving
merge merges merged merging merge-and-unload fuse fuses fused fusing
export exports exported exporting convert converts converted converting conversion converter
frozen untouched untrained
zero zeros zeroes zeroed nil
evaluation eval evaluate evaluating evaluated validation held-out heldout test-set
rate lr learning-rate
alpha lora-alpha
target targets target-modules
expert experts moe mixture mixture-of-experts mixtral qwen-moe gpt-oss deepseek a3b a4b a10b a22b
llamacpp llama.cpp gguf ollama lm-studio lmstudio koboldcpp open-webui openwebui
python transformers huggingface hugging-face
vllm sglang tgi
wrong weird strange odd
ignores ignore ignored ignoring silently-dropped silently-drops silently-skipped silently-skips
leaks leak leaking leaked leakage contaminates contamination cross-contamination
packing packed packs multipack sample-packing
mismatched mismatches
resume resumes resumed resuming
continue continues continued continuing keep-training train-further
cpu processor laptop macbook
twice double doubled duplicate duplicated duplicates
slow slower slowly takes-forever take-forever took-forever
gone vanished disappeared
hours days weeks minutes seconds
quantized quantised quantization quantisation quantize qlora nf4 4bit 4bits 4-bit 4-bits load-in-4bit
16bit 16bits 16-bit 16-bits
""".strip().splitlines()
_EMPTY = """
a an the i my me we our it its is are was were be been am of to in on at for with and or but so as that this there then
than when while from by after before if do does did has have had can could should would will what why how very too also
just still even need needs needed use uses used takes take although though all any some get gets got go goes gone went
seem seems like problem issue bug silently valueerror runtimeerror userwarning warning
"""
# What the museum is not about: other ways to train, pictures, what was not installed, found or started, and what a
# program says that it cannot do. A complaint of these may share its words with an exhibit,
# so it must fit all the better.
_ELSEWHERE = """
dpo orpo kto ppo grpo rlhf reward rewards diffusion sdxl flux comfyui whisper image images video audio
importerror modulenotfounderror attributeerror typeerror keyerror indexerror nameerror traceback install pip docker
download downloads kernel supported unsupported mismatch deepspeed fsdp ddp dataparallel gpus kaggle illegal segfault
nccl hang hangs device devices tensorboard wandb slurm
"""
_SUFFIXES = ("ingly", "ation", "edly", "ings", "ing", "ed", "ies", "es", "ly", "s", "e")
# what a word weighs that no symptom has: the more of them, the less sure a match is
_UNKNOWN = 1.0
# a complaint weighs this much at most: what else a long one tells does not make its match a worse one
_LONGEST = 20.0
# a suspect's own sentence counts as a symptom does, but less: some who complain have half an idea of the cause
_CAUSE = 0.7
# below this, nothing was said that any exhibit answers to
_FAINTEST = 0.2
# a good fit scores this much, half its lead over the next one counted in (what fits two suspects alike says little of
# either), and the words that it rests on weigh this much: no word does alone, and "loss" and "train" do not
_GOOD, _EVIDENCE = 0.56, 4.2
# what scores this much, by more than one word, is right too often to say that nothing fits
_NEAR = 0.31
# as a symptom that is said word for word does, whatever its words weigh
_SAID = 0.8
# so much better must fit what sounds like another subject
_FARTHER = 0.15
# a single word is a symptom by itself where at most this many suspects have it
_FEW = 8
# what the words rule out scores this share, and is neither good nor near
_RULED_OUT = 0.4
# a clause says what it says of one thing: "the loss is finite but grad_norm is NaN" has no finite grad_norm
_CLAUSES = re.compile(r"[,;:!?()]|\.(?!\d)|\b(?:but|although|though|while|whereas|and|when|if|instead|until)\b")
# "the loss does not fall" is not "the loss falls"
_NOT = re.compile(r"\b(?:not|no|never|without|hardly|barely|neither|cannot|(?:do|does|did|is|wo|ca)nt)\b|n[’']t\b")
# a message that a program stops with is quoted: it must fit all the better, too
_STOPPED_WITH = re.compile(r"(?i)\b\w+(?:error|exception):")


class Match(NamedTuple):
    """A suspect and how well the words fit it, 0 … about 1; `good` where that is more than a guess,
    `near` where it may be one."""

    suspect: Suspect
    score: float
    good: bool
    near: bool


def search(words: str) -> list[Match]:
    """The suspects whose symptoms fit a learner's `words`, the likeliest first; empty where none does. Deterministic.

    A suspect fits as well as its best symptom does, and a little better where its other symptoms hold the words too.
    """
    texts, spread = _read()
    weight = {stem: math.log(1 + len(texts) / count) for stem, count in spread.items()}
    # a number by itself says nothing of what it is
    said = _stems(words) if re.search(r"[^\W\d_]", words) else frozenset()
    asked = {_known(stem, weight) for stem in said}
    # "overfitting" says it all; "loss" alone fits too many
    telling = len(asked) == 1 and all(spread[stem] <= _FEW for stem in asked)
    farther = _FARTHER if said & _ELSEWHERE_STEMS or _STOPPED_WITH.search(words) else 0.0

    def size(stems: Set[str]) -> float:
        # fsum: the same in whatever order a set hands its stems out
        return math.fsum(weight.get(stem, _UNKNOWN) for stem in stems)

    found, whole = [], min(size(asked), _LONGEST)
    for id, one in suspects().items():
        fits = [
            (counts * size(asked & each) / math.sqrt(whole * size(each)), size(asked & each))
            for each, counts in texts[id]
            if asked and each
        ]
        fit, evidence = max(fits, default=(0.0, 0.0))
        everywhere = size(asked & frozenset().union(*(each for each, _ in texts[id])))
        score = 0.75 * fit + 0.25 * (min(everywhere / whole, 1.0) if whole else 0.0)
        out = _ruled_out(one, words)
        found.append((score * (_RULED_OUT if out else 1.0), 0.0 if out else evidence, one))
    second, rarest = sorted(score for score, *_ in found)[-2], max(weight.values())
    matches = []
    for score, evidence, one in found:
        lead = max(score - second, 0.0)
        surely = evidence >= _EVIDENCE and score + lead / 2 >= _GOOD + farther
        good = evidence > 0 and (surely or score >= _SAID or telling)
        close = score >= _GOOD + farther and len(asked) > 1 and evidence > 0
        near = close or (evidence > rarest and score >= _NEAR + farther)
        matches.append(Match(one, score, good, near))
    likely = [match for match in matches if match.score >= _FAINTEST]
    return sorted(likely, key=lambda match: (-match.score, match.suspect.number))


def doubt(matches: list[Match]) -> str:
    """What to say before suspects of which none fits well; empty where one does."""
    if any(match.good for match in matches):
        return ""
    if any(match.near for match in matches):
        return "Not sure that any of these fits; nearest first:"
    return "Nothing here fits well; nearest:"


@cache
def _repairs() -> dict[str, str]:
    return tomllib.loads(Path(__file__).with_name("repairs.toml").read_text(encoding="utf-8"))


def repair(one: Suspect) -> str:
    """What to do about a suspect, in a line."""
    return _repairs()[one.id]


def as_data(match: Match) -> dict[str, Any]:
    """A match as plain data: the suspect, how to test it, where it is shown, and the addresses and words behind it."""
    one = match.suspect
    return {
        "id": one.id,
        "fits": match.good,
        "suspect": one.suspect,
        "test": one.noticed,
        "repair": repair(one),
        "title": one.title,
        "notebook": f"notebooks/{place(one)}",
        "behind": one.behind_in_words() if isinstance(one, Exhibit) else "",
        "found_by": list(one.found_by) if isinstance(one, Exhibit) else [],
    }


@cache
def _read() -> tuple[dict[str, list[tuple[frozenset[str], float]]], Counter[str]]:
    """Of each suspect its symptoms and its own sentence, as (stems, how much they count);
    and how many suspects have a stem."""
    texts = {
        id: [*((_stems(symptom), 1.0) for symptom in one.symptoms), (_stems(one.suspect), _CAUSE)]
        for id, one in suspects().items()
    }
    return texts, Counter(stem for each in texts.values() for stem in frozenset().union(*(stems for stems, _ in each)))


def _ruled_out(one: Suspect, words: str) -> bool:
    """Whether a clause of `words` says what rules the suspect out, with a "not" where that has one."""
    return any(
        _stems(sight) <= _stems(clause) and bool(_NOT.search(sight)) == bool(_NOT.search(clause))
        for clause in _CLAUSES.split(words.lower())
        for sight in one.ruled_out_by
    )


def _known(stem: str, known: dict[str, float]) -> str:
    """`stem`, or the known one that it is a misspelling of."""
    if stem in known or len(stem) < 5:
        return stem
    return next(iter(difflib.get_close_matches(stem, sorted(known), n=1, cutoff=0.85)), stem)


@cache
def _stems(text: str) -> frozenset[str]:
    """What `text` says, as stems; one stem stands for all words that learners use alike."""
    text = re.sub(r"[’']", "", text.lower()).replace("α", "alpha")
    # a loss of exactly 0.0 is a symptom; other decimals are of one run alone
    text = re.sub(r"(?<![\d.])0\.0+(?!\d)", " zero exactlyzero ", text)
    # when it began is a part of a symptom, at which step of one run is not
    text = re.sub(
        r"\bafter (?:~?\d+|a|an|a few|some) (?:steps?|iterations?|epochs?|hours?|while)\b", " laterinrun ", text
    )
    text = re.sub(r"\d+\.\d+", " ", text)
    for phrase, canonical in _PHRASES:
        text = re.sub(rf"(?<![a-z]){phrase}(?![a-z])", canonical, text)
    # a loss of 0 and labels of -100 are symptoms, other numbers are of one run alone, or a model's name
    words = re.findall(r"\b(?:0|100|(?!\d+\b)[a-z0-9]+)\b", text.replace("_", " "))
    return frozenset(_SINGLE.get(word) or _stem(word) for word in words if word not in _EMPTY_WORDS)


def _stem(word: str) -> str:
    """`word` without an English ending, where four letters remain."""
    ending = next((s for s in _SUFFIXES if word.endswith(s) and len(word) - len(s) >= 4), "")
    return word.removesuffix(ending)


def _alike() -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Single words and phrases of `ALIKE`, each with the stem that stands for it; longer phrases come first."""
    single, phrases = {}, []
    for line in ALIKE:
        first, *others = line.split()
        for word in (first, *others):
            if re.fullmatch(r"[a-z0-9]+", word):
                single[word] = _stem(first)
            else:
                phrases.append((re.sub(r"[-.]", "[-_. ]?", word), first))
    return single, sorted(phrases, key=lambda phrase: -len(phrase[0]))


_SINGLE, _PHRASES = _alike()
_EMPTY_WORDS = frozenset(_EMPTY.split())
_ELSEWHERE_STEMS = frozenset(_stem(word) for word in _ELSEWHERE.split())
