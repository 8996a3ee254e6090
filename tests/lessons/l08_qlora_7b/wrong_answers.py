"""Plausible wrong answers to lesson 08's exercises, each with a piece of the sentence that must name it."""

LONGEST = "def longest(fixed, per_token, room): return {}"

WRONG = {
    "08.1": [
        (LONGEST.format("int(room // per_token)"), "takes its room first"),
        (LONGEST.format("int(room // per_token - fixed)"), "subtracted bytes from tokens"),
        (LONGEST.format("int((room + fixed) // per_token)"), "do not add it"),
        (LONGEST.format("int((fixed - room) // per_token)"), "room − fixed"),
        (LONGEST.format("max(0, int((fixed - room) // per_token))"), "0 says that no row fits"),
        (LONGEST.format("int(room // (fixed + per_token))"), "there once"),
        (LONGEST.format("int(room - fixed)"), "bytes that are left. Divide"),
        (LONGEST.format("(room - fixed) / 1e9"), "gigabytes that are left"),
        (LONGEST.format("int((room - fixed) * per_token)"), "Divide by the bytes per token"),
        (LONGEST.format("per_token / (room - fixed)"), "Turned round"),
        (LONGEST.format("int((room - fixed) // per_token) - 1"), "One too few"),
        (LONGEST.format("int(0.9 * (room - fixed) // per_token)"), "a tenth free"),
        (LONGEST.format("int((0.9 * room - fixed) // per_token)"), "a tenth free"),
        (LONGEST.format("max(1, int((room - fixed) // per_token))"), "return 0; you gave 1"),
        (LONGEST.format("int((room - fixed) // per_token) if room > fixed else None"), "return 0; you gave None"),
        (LONGEST.format("max(0, -int(-(room - fixed) // per_token))"), "round down"),
        (LONGEST.format("int((room - fixed) // per_token)"), "return 0"),
        (LONGEST.format("max(0, (room - fixed) / per_token)"), "round down"),
        (LONGEST.format("room / (fixed + per_token)"), "there once"),
        (LONGEST.format("max(0, int((12.9e9 - fixed) // per_token))"), "use all three"),
        (LONGEST.format("'4600'"), "Return one number"),
    ],
}
