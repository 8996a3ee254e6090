"""A file of one's own, from its lines to an adapter that others can judge: read, train, score, card, page.
Lesson 11 runs it."""
