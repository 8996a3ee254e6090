"""The site in a real browser, with nothing else in reach."""
