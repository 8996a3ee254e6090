"""The course with one thing wrong at a time: the list of it, and the tests that must notice."""
