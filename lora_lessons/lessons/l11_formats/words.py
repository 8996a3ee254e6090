"""What lesson 11's pictures show, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ...experiments.sweep import Summary, summary


def of_two_weights(nearest: Tensor, best: Tensor, off_nearest: float, off_best: float) -> str:
    """The grid, the ellipses and the two marks."""
    return (
        "A cross marks the two weights, grey dots the marks of the grid. The lines of equal output error are long, tilted "
        f"ellipses. The nearest mark {_mark(nearest)} lies across them, {off_nearest:.2f} off; {_mark(best)} is farther "
        f"from the weights but lies along the ellipses, {off_best:.2f} off."
    )


def _mark(mark: Tensor) -> str:
    return f"({', '.join(f'{x:g}' for x in mark.tolist())})"


def of_errors(errors: Mapping[str, Mapping[str, float]]) -> str:
    """Each layer's errors, way by way."""
    said = [f"{kind}: " + ", ".join(f"{way} {error:.3f}" for way, error in of.items()) for kind, of in errors.items()]
    return ". ".join(said) + "."


def of_gaps(gaps: Mapping[int, Mapping[str, Sequence[float]]]) -> str:
    """Each pair's 95% interval, and on how many passages the first loses less."""
    said = []
    for bits, columns in gaps.items():
        for name, values in columns.items():
            one, lower = summary(list(values)), sum(value < 0 for value in values)
            said.append(
                f"{name}, {bits} bits: {one.low:+.2f} to {one.high:+.2f} nats, lower on {lower} of {len(values)} passages."
            )
    return " ".join(said)


def of_rulers(rises: Mapping[str, Summary]) -> str:
    """How far the loss rises by each ruler."""
    return " ".join(f"{name}: {one.mean:.2f} nats ({one.low:.2f} to {one.high:.2f})." for name, one in rises.items())
