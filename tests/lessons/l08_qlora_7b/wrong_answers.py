"""Plausible wrong answers to lesson 08's exercises, each with a piece of the sentence that must name it."""

PER = "    per = (needs[1] - needs[0]) / (tokens[1] - tokens[0])\n"
LONGEST = "def longest_text(room, tokens, needs):\n" + PER + "    fixed = needs[0] - per * tokens[0]\n    return {}"
CHANGES = "def changes():\n    return "

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
    "08.2": [
        (CHANGES + "[8]", "Give a dictionary"),
        (CHANGES + '{"rank": 8}', "'rank' is none of your colleague's settings"),
        (CHANGES + '{"method": "dora"}', "choose one of"),
        (CHANGES + '{"recipe": "course"}', "leave the recipe"),
        (CHANGES + '{"seq": 512}', "the answers, would be cut off"),
        (CHANGES + '{"r": 8}', "it costs little"),
        (CHANGES + '{"batch_size": 1}', "batch_size * gradient_accumulation_steps is 1"),
        (CHANGES + '{"method": "qlora"}', "activations: which setting"),
        (CHANGES + '{"method": "qlora", "gradient_checkpointing": True}', "It needs 15.6 GB where 10.7 may be used"),
    ],
}
