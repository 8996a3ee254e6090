"""Recordings that need hours, a card or another library: each writes one file of data/measurements/."""
