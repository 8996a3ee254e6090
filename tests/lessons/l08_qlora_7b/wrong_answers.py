"""Plausible wrong answers to lesson 08's exercise, each with a piece of the sentence that must name it."""

PER = "    per = (needs[1] - needs[0]) / (tokens[1] - tokens[0])\n"
LONGEST = "def longest_text(room, tokens, needs):\n" + PER + "    fixed = needs[0] - per * tokens[0]\n    return {}"

WRONG = {
    "08.1": [
        (LONGEST.format("max(0, int((room - fixed) / per))"), "You filled the whole card"),
        (LONGEST.format("int(room * 5 / 6 / per)"), "take the fixed part off"),
        (LONGEST.format("max(0, int((room * 5 / 6 - needs[0]) / per))"), "it holds tokens[0] tokens as well"),
        (LONGEST.format("int(room * 5 / 6 / (needs[0] / tokens[0]))"), "not needs[0] / tokens[0]"),
        (LONGEST.format("int((room * 5 / 6 - fixed) / per)"), "give 0"),
        (LONGEST.format("max(0, (room * 5 / 6 - fixed) / per)"), "Give whole tokens"),
        (LONGEST.format("int(room / per)"), "leave room for 2,250 tokens"),
    ],
}
