"""Bad inputs, kills and odd circumstances: the right result or one sentence, and nothing lost.

readers    the table: each loader and parser, how to make it a valid file, how to call it, which errors it documents
mutations  what becomes of a valid file, for each kind of file
zygote     a process with the libraries loaded, which forks for every input; judging says what came of it
commands   the table of what is killed; attacks runs both tables and counts
"""
