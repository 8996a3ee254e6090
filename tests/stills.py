"""Widgets that nobody has moved: the picture, and the sentences below it, of one setting each;
and how a page moves them."""

from lora_lessons import memory, planning
from lora_lessons.course.stage import Scene
from lora_lessons.lessons.l00.widget import block_scene
from lora_lessons.lessons.l01 import rank_explorer_scene
from lora_lessons.lessons.l02.widget import layer_anatomy_scene, start_map_scene
from lora_lessons.lessons.l08 import fit_scene
from lora_lessons.lessons.l16.widget import _words, fit_beside


def sentences(scene: Scene, stop):
    """What stands below the picture at `stop`, without drawing it."""
    return scene.words[scene.stops.index(stop)]


def block_still(matrix):
    return block_scene(matrix).still(matrix)


def fit_job(*, model, card, method, r, seq, batch_size, gradient_checkpointing):
    """The job that these settings of the widget mean."""
    full = method in memory.FULL
    return memory.Job(
        method,
        r,
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


def many_fit_words(*, r, **setting):
    """Worked out for this rank alone."""
    return _words(**setting, r=r, one=fit_beside(**setting, r=r))


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
