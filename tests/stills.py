"""Widgets that nobody has moved: the picture, and the sentences below it, of one setting each;
and how a page moves them."""

from matplotlib.figure import Figure

from lora_lessons import memory, planning
from lora_lessons.course.stage import Backdrop, Scene, Stage, choice, slider
from lora_lessons.drawing import BLUE
from lora_lessons.lessons.l00.widget import block_scene
from lora_lessons.lessons.l01 import rank_explorer_scene
from lora_lessons.lessons.l02.widget import layer_anatomy_scene, start_map_scene
from lora_lessons.lessons.l08 import RECIPES, fit_scene


def sentences(scene: Scene, stop):
    """What stands below the picture at `stop`, without drawing it."""
    return scene.words[scene.stops.index(stop)]


def block_still(matrix):
    return block_scene(matrix).still(matrix)


def fit_job(*, model, recipe, card, method, r, seq, batch_size, gradient_checkpointing):
    """The job that these settings of the widget mean."""
    full = method in memory.FULL
    return memory.Job(
        method,
        r,
        recipe=RECIPES[recipe],
        seq=seq,
        batch_size=batch_size,
        gradient_checkpointing=gradient_checkpointing == "on",
        optimizer="adamw_fused" if full else "adamw",
        dtype="bf16" if full else planning.computes_in(card),
    )


def fit_still(*, seq, **setting):
    return fit_scene(**setting, seq=seq).still(seq)


def fit_words(*, seq, **setting):
    return sentences(fit_scene(**setting, seq=seq), seq)


def rank_explorer_still(W, r, name):
    return rank_explorer_scene(W, r, name).still(r)


def start_map_still(a, b):
    return start_map_scene(a, b).still(a)


def layer_anatomy_still(d, k, r, lora_alpha):
    return layer_anatomy_scene(d, k, r, lora_alpha).still(r)


def boxes_words(*, model, card, r):
    return f"{r} of {model} on {card}"


def boxes_scene(model, card, r):
    """A dot and its words at each stop; one choice cannot be."""
    if (model, card) == ("large", "small"):
        raise ValueError("2 GB are missing for large on small: choose another.")
    stops = sorted({1, 2, 4, 8, r})
    figure = Figure(figsize=(8.4, 3.6))
    ax = figure.subplots()
    ax.set(xlim=(0, 9), ylim=(0, 9))
    words = [boxes_words(model=model, card=card, r=stop) for stop in stops]
    scene = Scene(Backdrop(figure, (3.2,)), stops, words)
    scene.dot(ax, stops, stops, BLUE, size=13)
    scene.text(ax, stops, stops, words, BLUE)
    return scene


BOXES = {"model": "tiny", "card": "wide", "r": 2}


def boxes():
    """A widget of the tests' own, with choices that lie in files of their own and one that is refused."""
    controls = [choice("model", "model", ["tiny", "large"]), choice("card", "card", ["wide", "small"])]
    return Stage(boxes_scene, "r", [*controls, slider("r", "rank r")], **BOXES)


def turn(stage, **values):
    """Set controls as the page does."""
    stage.values = stage.values | values
    assert stage.answered == stage.values


def refused(stage, typed, said, then, words):
    """What cannot be is answered with `said`, and the picture stays; `then`, which can be, moves it to `words`."""
    scene, before = stage.scene, stage.still()[1]
    turn(stage, **typed)
    assert said in stage.said and stage.scene is scene and stage.still()[1] == before
    turn(stage, **then)
    assert stage.said == "" and stage.still()[1].startswith(words)
