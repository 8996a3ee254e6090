"""What learners write when they have met an exhibit: (the exhibit's id, their words), not the words of its own symptoms."""

HALL_1 = [
    ("14.1", "with PEFT it is fine but my merged weights produce nonsense"),
]
HALL_2 = [
    ("14.11", "the model answers correctly but does not stop generating"),
    ("14.11", "it keeps making up more questions after the answer"),
    ("14.12", "every example ends with eos, still the output is endless"),
    ("14.12", "since I set the pad token it does not know how to stop"),
    ("14.13", "the adapter answers well in my notebook and generic in the app"),
    ("14.13", "in ollama the persona is gone"),
    ("14.14", "logits of the same prompt are slightly different in two pipelines"),
    ("14.14", "there is one special token too many at the start of the prompt"),
    ("14.15", "nan loss from the very first step"),
    ("14.15", "zero loss with assistant_only_loss"),
    ("14.16", "loss of the base is very high before training, afterwards the text is garbage"),
    ("14.16", "loss falls but it repeats one word"),
    ("14.17", "different loss with gradient accumulation"),
    ("14.17", "long answers do not improve but the short ones do"),
    ("14.18", "packing makes my training loss much lower but evaluation does not improve"),
    ("14.18", "it knows things from another conversation in the same row"),
]
HALL_3: list[tuple[str, str]] = []
