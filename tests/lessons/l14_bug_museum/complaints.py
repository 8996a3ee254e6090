"""What learners write when they have met an exhibit: (the exhibit's id, their words), not the words of its own symptoms."""

HALL_1 = [
    ("14.1", "with PEFT it is fine but my merged weights produce nonsense"),
]
HALL_2: list[tuple[str, str]] = []
HALL_3: list[tuple[str, str]] = []
