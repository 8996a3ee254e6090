"""Where the scale lab writes its ranks: no two numbers on each other, none at another loss, each near its push."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from stills import scale_lab_still

from lora_lessons.drawing import use_style
from lora_lessons.experiments import sweep
from lora_lessons.lessons.l05_rank_and_alpha import widget
from lora_lessons.lessons.l05_rank_and_alpha.measured import Tried, losses_shown, side_by_side


def measured(r, push, loss):
    return Tried(r, push / r, 0.004, sweep.Summary(loss, loss - 0.01, loss + 0.01, 3), 0.01, (5.0, loss))


def test_no_two_words_of_the_opening_picture_stand_on_each_other():
    use_style()  # as a lesson does
    widget._lab_of.cache_clear()  # an earlier test may have drawn it in another style
    figure, _ = scale_lab_still("LoRA", 8, 16, 0.004)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]
    assert len(boxes) > 30
    assert [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)] == []


def test_ranks_of_one_push_stand_side_by_side_around_it_lowest_first():
    ranks = (64, 1, 8)
    places = side_by_side([measured(r, 16, 3.1) for r in ranks], 4.0, 0.02)
    x = {m.r: x for m, (x, _) in places.items()}
    assert x[1] < x[8] < x[64] and x[8] == 16


def test_a_push_moves_aside_where_it_would_meet_another_and_losses_stay():
    crowd = [measured(r, 16, 3.1) for r in (1, 2, 4, 8, 16, 32, 64)]
    near, far = measured(16, 32, 3.1), measured(16, 32, 3.5)
    alone = side_by_side([*crowd, far], 4.0, 0.02)
    assert alone[far] == (32, 3.5), "at another loss there is nothing to meet"
    moved = side_by_side([*crowd, near], 4.0, 0.02)
    assert moved[near][0] > 32 and moved[near][1] == 3.1


def test_a_few_very_bad_runs_do_not_squeeze_the_rest():
    every = [measured(r, 16, 3 + r / 100) for r in (1, 2, 4, 8, 16, 32)] + [measured(64, 16, 9.0)]
    low, high = losses_shown(every)
    assert low == 3.01 and 3.16 < high < 4
    assert side_by_side(every, high, 0.02)[every[-1]][1] == high
