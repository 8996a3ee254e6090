"""What lesson 03 draws."""

from lora_lessons.lessons.l03_train_lora import illustration


def test_the_two_ways_are_drawn_to_scale():
    figure, words = illustration.two_ways(60, 40, 5)
    sizes = [(patch.get_width(), patch.get_height()) for patch in figure.axes[0].patches]
    assert sizes == [(40, 60), (40, 60), (5, 60), (40, 5)]
    assert "2,400 numbers" in words and "500 numbers (20.8%)" in words
