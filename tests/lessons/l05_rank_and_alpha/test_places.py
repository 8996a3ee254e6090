"""Where the scale lab puts its dots: each near its push and at its loss, no words on others."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from stills import scale_lab_still

from lora_lessons.drawing import use_style
from lora_lessons.experiments import sweep
from lora_lessons.lessons.l05_rank_and_alpha import widget
from lora_lessons.lessons.l05_rank_and_alpha.measured import Tried, losses_shown, places


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
    assert len(boxes) > 4
    assert [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)] == []


def test_ranks_of_one_push_and_rate_stand_side_by_side_around_it_lowest_first():
    ranks = (64, 1, 8)
    where = places([measured(r, 16, 3.1) for r in ranks] + [measured(2, 16, 3.4)._replace(learning_rate=0.001)], 4.0)
    x = {m.r: x for m, (x, _) in where.items()}
    assert x[1] < x[8] < x[64] and x[8] == x[2] == 16


def test_a_few_very_bad_runs_do_not_squeeze_the_rest():
    every = [measured(r, 16, 3 + r / 100) for r in (1, 2, 4, 8, 16, 32)] + [measured(64, 16, 9.0)]
    low, high = losses_shown(every)
    assert low == 3.01 and 3.16 < high < 4
    assert places(every, high)[every[-1]][1] == high and places(every, high)[every[0]][1] == 3.01
