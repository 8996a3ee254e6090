"""From a learner's words to the suspects: words count by their stems, and the rarer a stem, the more it says."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Set
from functools import cache
from typing import NamedTuple

from .exhibits import Suspect, suspects

# What learners call one thing; the first of each line stands for all. The filter on the web reads the same lines.
ALIKE = """
fall falls falling fell drop drops dropped decrease decreases decreased decreasing goes-down went-down sinks
flat stuck plateau plateaus constant does-not-fall doesnt-fall not-falling does-not-decrease doesnt-decrease not-decreasing does-not-go-down doesnt-go-down not-going-down isnt-going-down wont-go-down
rises rise rising rose increases climbs climbing goes-up going-up went-up
gradient gradients grad grads
text answer answers answered output outputs reply replies response responses generation generations completion completions says
same unchanged identical unaffected no-effect no-difference changes-nothing nothing-changes nothing-changed does-nothing did-nothing no-change
weak weaker barely hardly faint little slightly tiny-effect almost-nothing
strong stronger exaggerated overreacts overdone
endless never-stops never-stop never-ends never-end goes-on doesnt-stop does-not-stop not-stop wont-stop will-not-stop keeps-talking keeps-going keeps-generating rambles forever endlessly
gibberish garbage nonsense rubbish junk garbled word-salad broken-text babble
memory vram ram oom ooms out-of-memory outofmemory outofmemoryerror
crash crashes crashed crashing dies died killed
nan nans not-a-number
forget forgets forgot forgotten forgetting catastrophic-forgetting
memorise memorised memorises memorising memorize memorized memorizes memorizing overfit overfits overfitted overfitting over-fit over-fits over-fitted over-fitting learned-by-heart verbatim
large big huge enormous bloated gigantic
lower worse bad poor poorly degraded ruined destroyed
train trains trained training trainable finetune finetuning finetuned fine-tune fine-tuned fine-tuning tuning
load loads loaded loading reload reloaded reloading open opens opened
save saves saved saving
merge merges merged merging merge-and-unload
export exports exported exporting convert converts converted converting conversion converter
frozen untouched untrained
zero zeros zeroes zeroed nil
evaluation eval evaluate evaluating evaluated validation held-out heldout test-set
rate lr learning-rate
alpha lora-alpha
target targets target-modules
expert experts moe mixture mixture-of-experts mixtral qwen-moe gpt-oss deepseek
llamacpp llama.cpp gguf ollama lm-studio lmstudio koboldcpp
python transformers huggingface hugging-face
vllm sglang tgi
wrong weird strange odd
ignores ignore ignored ignoring
resume resumes resumed resuming
continue continues continued continuing keep-training train-further
cpu processor laptop macbook
twice double doubled
slow slower slowly takes-forever take-forever took-forever
gone vanished disappeared
hours days weeks
quantized quantised quantization quantisation quantize qlora nf4 4bit 4bits 4-bit 4-bits load-in-4bit
16bit 16bits 16-bit 16-bits
""".strip().splitlines()
_EMPTY = """
a an the i my me we our it its is are was were be been am of to in on at for with and or but so as that this there then
than when while from by after before if do does did has have had can could should would will what why how very too also
just still even need needs needed use uses used takes take although though all any some get gets got go goes gone went seem seems like
"""
# what the museum is not about: a complaint of these may share its words with an exhibit, and is another one all the same
_ELSEWHERE = frozenset(["dpo", "orpo", "kto", "ppo", "grpo", "rlhf", "diffusion", "sdxl", "comfyui", "whisper"])
_SUFFIXES = ("ingly", "ation", "edly", "ings", "ing", "ed", "ies", "es", "ly", "s", "e")
# what a word weighs that no symptom has: the more of them, the less sure a match is
_UNKNOWN = 1.0
# below this, nothing was said that any exhibit answers to
_FAINTEST = 0.2
# a good fit scores this much and rests on two words or more: "recipe" alone does not make a recipe for bread a mistake
_GOOD, _WORDS = 0.4, 2
# a single word is a symptom by itself where at most this many suspects have it
_FEW = 8


class Match(NamedTuple):
    """A suspect and how well the words fit it, 0 … about 1; `good` where that is more than a guess."""

    suspect: Suspect
    score: float
    good: bool


def search(words: str) -> list[Match]:
    """The suspects whose symptoms fit a learner's `words`, the likeliest first; empty where none does. Deterministic.

    A suspect fits as well as its best symptom does, and a little better where its other symptoms hold the words too.
    """
    everything = list(suspects().values())
    symptoms = {one.id: [_stems(symptom) for symptom in one.symptoms] for one in everything}
    of_each = {id: frozenset().union(*each) for id, each in symptoms.items()}
    spread = Counter(stem for stems in of_each.values() for stem in stems)
    weight = {stem: math.log(1 + len(everything) / count) for stem, count in spread.items()}
    asked = {_known(stem, weight) for stem in _stems(words)}
    # "overfitting" says it all; "loss" alone fits too many
    telling = len(asked) == 1 and all(spread[stem] <= _FEW for stem in asked)
    elsewhere = not asked.isdisjoint(_ELSEWHERE)

    def size(stems: Set[str]) -> float:
        # fsum: the same in whatever order a set hands its stems out
        return math.fsum(weight.get(stem, _UNKNOWN) for stem in stems)

    matches = []
    for one in everything:
        fits = [size(asked & each) / math.sqrt(size(asked) * size(each)) for each in symptoms[one.id] if asked and each]
        whole = size(asked & of_each[one.id]) / size(asked) if asked else 0.0
        score = 0.75 * max(fits, default=0.0) + 0.25 * whole
        shared = max((len(asked & each) for each in symptoms[one.id]), default=0)
        fits_well = (telling and shared > 0) or (score >= _GOOD and shared >= _WORDS)
        matches.append(Match(one, score, fits_well and not elsewhere))
    likely = [match for match in matches if match.score >= _FAINTEST]
    return sorted(likely, key=lambda match: (-match.score, match.suspect.number))


def _known(stem: str, known: dict[str, float]) -> str:
    """`stem`, or the known one that it is a misspelling of."""
    if stem in known or len(stem) < 5:
        return stem
    return next(iter(difflib.get_close_matches(stem, sorted(known), n=1, cutoff=0.85)), stem)


@cache
def _stems(text: str) -> frozenset[str]:
    """What `text` says, as stems; one stem stands for all words that learners use alike."""
    text = re.sub(r"[’']", "", text.lower())
    # a loss of exactly 0.0 is a symptom; other decimals are of one run alone
    text = re.sub(r"(?<![\d.])0\.0+(?!\d)", " zero exactlyzero ", text)
    # when it began is a part of a symptom, at which step of one run is not
    text = re.sub(
        r"\bafter (?:~?\d+|a|an|a few|some) (?:steps?|iterations?|epochs?|hours?|while)\b", " laterinrun ", text
    )
    text = re.sub(r"\d+\.\d+", " ", text)
    for phrase, canonical in _PHRASES:
        text = re.sub(rf"(?<![a-z]){phrase}(?![a-z])", canonical, text)
    words = re.findall(r"[a-z0-9]+", text)
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
