"""Plausible wrong answers to lesson 04's exercise, each with words that its check's sentence must hold."""

_LOST = "def not_loaded(file_keys, model_names):\n    "

WRONG = {
    "04.1": [
        (_LOST + "return [k for k in file_keys if k not in model_names]", "healthy file lost"),
        (_LOST + "return [n for n in model_names if n not in file_keys]", "names of the model"),
        (
            _LOST + "ends = tuple(n.replace('.default', '').removeprefix('base_model.') for n in model_names)\n"
            "    return [k for k in file_keys if not k.endswith(ends)]",
            "match whole",
        ),
        (
            _LOST + "places = [n.replace('.default', '') for n in model_names]\n"
            "    return [k for k in file_keys if not any(p.endswith(k) for p in places)]",
            "only the end of a model's name",
        ),
        (_LOST + "return len(set(file_keys) - set(model_names))", "keys themselves"),
        (
            _LOST + "places = {n.replace('.default', '') for n in model_names}\n"
            "    return [] if set(file_keys) & places else file_keys",
            "exactly that one",
        ),
        (
            _LOST + "places = [n.replace('.default', '') for n in model_names[4:]]\n"
            "    return [k for k, place in zip(file_keys, places) if k != place]",
            "in whatever order",
        ),
        (
            _LOST + "return filter(lambda k: k.replace('.weight', '.default.weight') not in model_names, file_keys)",
            "as a list",
        ),
    ],
}
ALSO_RIGHT = {"04.1": [(_LOST + "return set(file_keys) - {n.replace('.default', '') for n in model_names}", "")]}
