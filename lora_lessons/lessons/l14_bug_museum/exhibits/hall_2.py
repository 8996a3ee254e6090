"""Hall 2, text and loss: what the model read, what was supervised, how the loss was counted."""

from __future__ import annotations

from ..exhibit import Exhibit

EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit(
        id="14.11",
        title="It answers, and then it talks on",
        symptoms=(
            "the answer is right but it never stops",
            "it goes on and invents the next question",
            "it generates until max_new_tokens every time",
            "after fine-tuning the output is endless",
            "it repeats its answer endlessly",
            "it writes the user's next turn itself",
        ),
        suspect="The end token is missing from the text, or masked in the labels: nothing ever taught the model to say it.",
        noticed="Count the labels that are the end token before you train: there must be one for each answer.",
        behind="huggingface/trl#1623 and huggingface/trl#931 (the data step appended no end token), huggingface/trl#3091 (since then TRL appends it)",
        found_by=("eos_never_supervised",),
    ),
    Exhibit(
        id="14.12",
        title="It talks on again, and every example is right",
        symptoms=(
            "my data end with eos and it still never stops",
            "I printed my examples, they are right, and the model talks on and on",
            "endless output although the end token is in every example",
            "it forgot how to stop after I set pad_token to eos_token",
        ),
        suspect="Padding and the end token share one id, and the collator masks by id: every real end goes with the padding.",
        noticed="Count the labels that are the end token twice, in one example and in the collated batch: only the batch has lost them.",
        behind="huggingface/trl#976, mlabonne/llm-course#33, huggingface/smol-course#159 (pad set to eos, in three trainings)",
        found_by=("pad_is_eos",),
    ),
    Exhibit(
        id="14.13",
        title="A voice in the notebook, a stranger in the app",
        symptoms=(
            "works in my notebook, generic answers in my app",
            "the persona is gone when I ask it in production",
            "good loss, but outside the notebook it answers like the bare base",
            "right in Python and wrong in Ollama",
            "Ollama writes gibberish, Python does not",
        ),
        suspect="It is asked in another chat template than it was trained in.",
        noticed="Print the ids that you ask with: they must be the first ids of a training example, one by one.",
        behind="ollama/ollama#6823, ollama/ollama#8363 (template and stop token)",
    ),
    Exhibit(
        id="14.14",
        title="The same chat, and slightly other answers",
        symptoms=(
            "slightly other logits than the reference for the same prompt",
            "answers are a little worse in one pipeline than in another",
            "the same chat has one token more in my code",
            "the prompt starts with the same special token two times",
            "there is a double BOS token",
        ),
        suspect="BOS stands there twice: the template wrote one, and the tokenizer put another in front.",
        noticed="Print the first three ids of a prompt: no special token stands there twice in a row.",
        behind="OpenRLHF/OpenRLHF#393",
        found_by=("bos_twice",),
    ),
    Exhibit(
        id="14.15",
        title="The loss is not a number from the first step",
        symptoms=(
            "loss is nan from the first step",
            "loss is 0.0 from the first step and nothing changes",
            "the loss is 0 all the time",
            "training runs through and the model is exactly the base",
            "with assistant_only_loss there is nothing to learn from",
        ),
        suspect="No token is supervised: the template has no generation marks, so the mask of the answers is all zero.",
        noticed="Count the supervised tokens of one example: a zero, or everything, is a mistake.",
        behind="huggingface/trl#4879 (no marks in most templates), unslothai/unsloth#2900 (all labels -100; Unsloth stops with an error)",
        found_by=("no_generation_marks", "all_masked"),
    ),
    Exhibit(
        id="14.16",
        title="The loss falls, and it stammers",
        symptoms=(
            "the loss starts very high and falls, the text is garbage",
            "it repeats one word over and over after training",
            "the loss of the untrained base is far too high",
            "loss falls but it writes nonsense",
        ),
        suspect="The labels were shifted by hand, and the model shifts them again: it learns to predict two tokens ahead.",
        noticed="Before training, ask the base for its loss on plain text: it must lie far below the logarithm of the vocabulary's size, which is the price of guessing.",
        behind="huggingface/transformers#47395 (one of transformers' own models shifted twice), huggingface/transformers#44642 (users who shift by hand), hiyouga/LlamaFactory#10457",
    ),
    Exhibit(
        id="14.17",
        title="The same batch in smaller pieces learns something else",
        symptoms=(
            "the loss changes with gradient_accumulation_steps",
            "batch size 4 and 4 accumulation steps of 1 do not agree",
            "short answers get better and long answers do not",
            "the loss is too small by the number of accumulation steps",
            "the loss doubles with two accumulation steps",
        ),
        suspect="Each micro-batch is divided by its own count of tokens, so a token of a short answer weighs more.",
        noticed="Compare the gradient of one batch with the same batch in pieces: length and direction must agree.",
        behind="huggingface/transformers#34191 (each piece divided by its own count), huggingface/transformers#35438 (the loss doubled with two steps), unslothai/unsloth-zoo#1023 (too small and too large)",
    ),
    Exhibit(
        id="14.18",
        title="The loss is better than I deserve",
        symptoms=(
            "training loss much better with packing, evaluation is not",
            "packing lowers the loss and the model is worse",
            "it answers things that stand in another conversation",
            "the loss of an example depends on its neighbours in the row",
        ),
        suspect="The packed row leaks: a conversation attends to the ones before it.",
        noticed="Change the first conversation of a row: the logits of the second must not move.",
        behind="huggingface/trl#3067 (with what is safe today)",
    ),
)
