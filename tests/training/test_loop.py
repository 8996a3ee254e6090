"""The loop: impossible settings are refused; its loss falls, it repeats by seed and covers each epoch; fp16 scales the
loss; checkpointing keeps less; it stops when a loss is not finite or a matrix gets no gradient; AdamW in its kinds."""

import copy
import dataclasses

import peft
import peft.optimizers
import pytest
import torch
from short_run import SHORT, adapter, broken_and_whole, same
from tiny import make_tiny_model
from torch import nn

from lora_lessons import lora, models, tasks, training
from lora_lessons.training import Settings, TrainingStopped, train


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_size": 1.5},
        {"gradient_accumulation_steps": 0},
        {"gradient_accumulation_steps": 2.0},
        {"gradient_checkpointing": "no"},
        {"max_grad_norm": 0},
        {"max_grad_norm": float("inf")},
        {"max_grad_norm": "1"},
        {"learning_rate": 0},
        {"learning_rate": 1},
        {"learning_rate": "eight"},
        {"warmup": -1},
        {"checkpoint_every": True},
        {"lr_ratio": 0},
        {"max_grad_norm": True},
        {"weight_decay": -0.1},
        {"weight_decay": float("nan")},
        {"weight_decay": "0.1"},
        {"weight_decay": None},
        {"lr_ratio": "16"},
        {"lr_ratio": float("inf")},
        {"steps": 10**9},
        {"steps": 10**5, "batch_size": 10**4},
        {"steps": 10**4, "batch_size": 10**2, "gradient_accumulation_steps": 10**3},
        {"seed": 2**63},
        {"seed": 1.5},
        {"seed": None},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)


def test_the_rate_rises_then_falls():
    s = Settings(steps=10, batch_size=2, warmup=3, learning_rate=0.1)
    rates = [s.rate(i) for i in range(10)]
    assert rates[0] < rates[1] < rates[2] < rates[3] == pytest.approx(0.1) and rates[-1] < rates[-2] < rates[4]
    least = Settings(steps=1, batch_size=1, warmup=0, checkpoint_every=0)
    assert least.rate(0) == least.learning_rate, "the least that is allowed"


def test_a_warmup_longer_than_the_run_ends_with_its_last_step():
    s = Settings(steps=3, batch_size=1, warmup=9, learning_rate=0.3)
    assert [s.rate(i) for i in range(3)] == pytest.approx([0.1, 0.2, 0.3])


def test_loss_falls_and_the_base_stays_bit_for_bit(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    digest = models.weights_digest(tiny_model)
    result = train(tiny_model, examples, dataclasses.replace(SHORT, steps=30), run_dir=tmp_path)
    assert result.losses[-1] < result.losses[0] - 0.1
    assert models.weights_digest(tiny_model) == digest
    assert result.supervised == 30 * 2 * 6 and result.tokens == 30 * 2 * 10


def test_same_seed_same_adapter_other_seed_another(tiny_model, examples, tmp_path):
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        lora.attach(tiny_model, r=4)
        train(tiny_model, examples, dataclasses.replace(SHORT, seed=seed), run_dir=tmp_path / name)
        runs.append(adapter(tiny_model))
        lora.detach(tiny_model)
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_the_batches_cover_each_epoch():
    order = training.batches(10, Settings(steps=10, batch_size=2))
    assert sorted(sum(order[:5], [])) == list(range(10)) == sorted(sum(order[5:], []))
    assert order[:5] != order[5:], "each epoch has an order of its own"


@pytest.fixture
def uneven(examples):
    """The eight conversations with 6, 1, 3, 5, 6, 2, 4 and 0 supervised tokens."""
    for one, answer in zip(examples, (6, 1, 3, 5, 6, 2, 4, 0), strict=True):
        one.labels[: len(one.labels) - answer] = tasks.IGNORED
    return examples


def steps_of(model, examples, settings, folder):
    """Each step's gradients as AdamW hears them, by matrix, and the story of the run."""
    lora.attach(model, r=4)
    heard = []

    def listen(_):
        heard.append({name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad})

    return heard, train(model, examples, settings, run_dir=folder, on_step=listen)


@pytest.mark.parametrize("fast", [True, False])
def test_micro_batches_add_up_to_the_one_large_batch(tiny_model, uneven, tmp_path, fast):
    """In loss and gradients, whatever share of the answers each has: one of them may have none."""
    at_once = dataclasses.replace(SHORT, batch_size=4, fast=fast, learning_rate=1e-3)
    in_parts = [dataclasses.replace(at_once, batch_size=4 // k, gradient_accumulation_steps=k) for k in (2, 4)]
    wanted, one = steps_of(copy.deepcopy(tiny_model), uneven, at_once, tmp_path / "one")
    for settings in in_parts:
        assert training.batches(8, settings) == training.batches(8, at_once)
        found, several = steps_of(copy.deepcopy(tiny_model), uneven, settings, tmp_path / str(settings.batch_size))
        assert several.losses == pytest.approx(one.losses, rel=1e-5)
        assert (several.tokens, several.supervised) == (one.tokens, one.supervised)
        for mine, theirs in zip(found, wanted, strict=True):
            for name, gradient in theirs.items():
                assert (mine[name] - gradient).norm() <= 1e-4 * gradient.norm(), name


@pytest.mark.parametrize("half", [False, True])
def test_a_long_gradient_is_shortened_and_keeps_its_direction(tiny_model, uneven, tmp_path, half):
    """All matrices as one vector, and in fp16 once the loss's scale is out again:
    as torch's clip_grad_norm_ does it."""
    if half:
        tiny_model.half()
    plain = dataclasses.replace(SHORT, steps=1, batch_size=2, gradient_accumulation_steps=2)
    (wanted,), _ = steps_of(copy.deepcopy(tiny_model), uneven, plain, tmp_path / "plain")
    found_norm = torch.stack([gradient.norm() for gradient in wanted.values()]).norm().item()
    for most in (0.1 * found_norm, 10 * found_norm):
        settings = dataclasses.replace(plain, max_grad_norm=most)
        (found,), _ = steps_of(copy.deepcopy(tiny_model), uneven, settings, tmp_path / str(most))
        for name, gradient in wanted.items():
            assert torch.allclose(found[name], gradient * min(1.0, most / found_norm), rtol=1e-4, atol=1e-9), name


def test_fp16_trains_with_a_scaled_loss_and_resumes(tiny_model, examples, tmp_path):
    half = copy.deepcopy(tiny_model).half()
    lora.attach(half, r=4)
    (broken, one), (whole, other) = broken_and_whole(lambda: copy.deepcopy(half), SHORT, tmp_path)
    assert broken.losses == whole.losses and same(one, other)
    assert broken.loss_scale == whole.loss_scale
    assert whole.loss_scale["scale"] == 2.0**12 and whole.loss_scale["_growth_tracker"] == SHORT.steps
    lora.attach(tiny_model, r=4)
    plain = train(tiny_model, examples, SHORT, run_dir=tmp_path / "fp32")
    assert whole.losses == pytest.approx(plain.losses, abs=0.02) and plain.loss_scale == {}


@pytest.mark.parametrize("on, passes", [(False, 1), (True, 2)])
def test_train_computes_each_block_again_when_asked(tiny_model, examples, tmp_path, on, passes):
    lora.attach(tiny_model, r=4)
    ran = []
    for block in tiny_model.model.layers:
        # inside the block: transformers keeps the block's own hooks out of what is computed again
        block.self_attn.register_forward_pre_hook(lambda *_: ran.append(1))
    train(tiny_model, examples, dataclasses.replace(SHORT, gradient_checkpointing=on), run_dir=tmp_path)
    assert len(ran) == passes * SHORT.steps * len(tiny_model.model.layers)
    left_on = any(getattr(m, "gradient_checkpointing", False) for m in tiny_model.modules())
    assert not left_on and tiny_model.config.use_cache, "left as it was found"


@pytest.mark.parametrize(
    ("spoil", "how", "said"),
    [
        (lambda model: model.model.norm.weight.data.fill_(float("nan")), {}, "lower the learning rate"),
        (lambda model: model.half(), {}, "would learn in fp16.*attach the adapters then"),
        *(
            (lambda model: None, {"optimizer": paged}, "on a CPU choose 'adamw_8bit' or 'adamw'")
            for paged in ("paged_adamw", "paged_adamw_8bit")
        ),
        (
            lambda model: None,
            {"optimizer": "sgd"},
            "'sgd' is not known: choose from adamw, adamw_fused, adamw_8bit, paged_adamw, paged_adamw_8bit",
        ),
    ],
    ids=["NaN", "fp16", "paged", "paged 8-bit", "unknown"],
)
def test_what_cannot_train_stops_with_advice(tiny_model, examples, tmp_path, spoil, how, said):
    lora.attach(tiny_model, r=4)
    spoil(tiny_model)
    with pytest.raises((TrainingStopped, ValueError), match=said):
        train(tiny_model, examples, dataclasses.replace(SHORT, **how), run_dir=tmp_path)
    assert not (tmp_path / training.FINISHED).exists()


class NoGradient(nn.Linear):
    """Stands in for any layer whose forward cuts the graph, such as a quantized one without autograd."""

    def forward(self, x):
        return super().forward(x.detach())


def test_matrices_without_gradient_stop_training_and_are_named(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4, target_modules=["q_proj", "down_proj"])
    cut = tiny_model.model.layers[1].mlp.down_proj.base_layer
    cut.__class__ = NoGradient  # down_proj of layer 1: everything below it in this branch goes silent
    tiny_model.model.layers[1].mlp.down_proj.forward = lambda x: cut(x)
    with pytest.raises(
        TrainingStopped, match=r"1 of 8 trainable matrices got no gradient: .*layers\.1\.mlp\.down_proj\.lora_B|2 of 8"
    ):
        train(tiny_model, examples, SHORT, run_dir=tmp_path)


def test_a_silent_lora_a_is_noticed_once_its_b_is_not_zero(tiny_model):
    lora.attach(tiny_model, r=2, target_modules=["q_proj"])
    learned = {n: p for n, p in tiny_model.named_parameters() if p.requires_grad}
    for p in learned.values():
        p.grad = torch.ones_like(p)
    name = next(n for n in learned if "lora_A" in n)
    learned[name].grad.zero_()
    training.check_gradients(learned)  # B is zero: A waits
    learned[name.replace("lora_A", "lora_B")].data.fill_(1.0)
    with pytest.raises(TrainingStopped, match="lora_A"):
        training.check_gradients(learned)


def test_no_healthy_adapter_of_peft_is_stopped(tiny_model, examples, tmp_path):
    """Each starts at 0 in a matrix of its own: those that this one is multiplied by wait for it."""
    import peft

    for number, config in enumerate((
        peft.LoraConfig(r=2, target_modules=["q_proj", "embed_tokens"]),
        peft.AdaLoraConfig(init_r=2, target_modules=["q_proj"], total_step=10),
        peft.VeraConfig(r=2, target_modules=["q_proj"]),
        peft.LoHaConfig(r=2, target_modules=["q_proj"]),
        peft.LoKrConfig(r=2, target_modules=["q_proj"]),
    )):  # fmt: skip
        model = peft.get_peft_model(copy.deepcopy(tiny_model), config)
        assert len(train(model, examples, SHORT, run_dir=tmp_path / str(number)).losses) == SHORT.steps


@pytest.mark.parametrize(("silent", "said"), [(4, r"d\.lora_B\. "), (6, r"d\.lora_B and 2 more\. ")])
def test_the_first_four_silent_matrices_are_named_and_the_others_counted(silent, said):
    learned = {f"{letter}.lora_B": nn.Parameter(torch.ones(1)) for letter in "abcdef"[:silent]}
    with pytest.raises(TrainingStopped, match=rf"^{silent} of {silent} .*: a\.lora_B, b\.lora_B, c\.lora_B, {said}"):
        training.check_gradients(learned)


def test_lr_ratio_is_pefts_lora_plus(tiny_model, examples, tmp_path):
    settings, trained = dataclasses.replace(SHORT, lr_ratio=16.0, weight_decay=0.5), []
    for library in (False, True):
        torch.manual_seed(0)
        config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear")
        model = peft.get_peft_model(copy.deepcopy(tiny_model), config)
        if not library:
            losses = train(model, examples, settings, run_dir=tmp_path).losses
        else:
            losses = _loop(model, examples, settings, peft.optimizers.create_loraplus_optimizer)
        trained.append((losses, adapter(model)))
    (ours, mine), (theirs, yours) = trained
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert mine.keys() == yours.keys() and all(torch.allclose(mine[n], yours[n], atol=1e-6) for n in mine)
    lora.attach(tiny_model, r=4, lora_alpha=8)
    plain = train(tiny_model, examples, SHORT, run_dir=tmp_path / "plain").losses
    assert plain[-1] != pytest.approx(ours[-1], abs=1e-3), "the ratio matters"


def _loop(model, examples, settings, create):
    """PEFT's LoRA+ in the shortest loop: each group's own rate, times where the schedule stands."""
    rates = {"lr": settings.learning_rate, "loraplus_lr_ratio": settings.lr_ratio}
    optimizer = create(model, torch.optim.AdamW, **rates, loraplus_weight_decay=settings.weight_decay)
    peak, losses = [group["lr"] for group in optimizer.param_groups], []
    for step, batch in enumerate(training.batches(len(examples), settings)):
        for group, rate in zip(optimizer.param_groups, peak, strict=True):
            group["lr"] = rate * settings.rate(step) / settings.learning_rate
        loss = model.train()(**tasks.collate([examples[i] for i in batch], pad_id=0)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_8_bit_moments_are_a_quarter_and_train_alike(examples, tmp_path):
    """bitsandbytes keeps moments of fewer than 4,096 numbers in fp32, so this needs a wider layer."""
    found = {}
    for optimizer in ("adamw", "adamw_8bit"):
        model = make_tiny_model()
        model.requires_grad_(False)
        model.model.embed_tokens.requires_grad_(True)  # 128 × 32 numbers
        settings = dataclasses.replace(SHORT, steps=20, learning_rate=1e-3, optimizer=optimizer)
        found[optimizer] = train(model, examples, settings, run_dir=tmp_path / optimizer)
    assert found["adamw"].optimizer_bytes == 2 * 4 * 4096
    assert found["adamw_8bit"].optimizer_bytes == 2 * (4096 + 4 * 4096 // 256)
    assert found["adamw_8bit"].losses == pytest.approx(found["adamw"].losses, abs=0.05)
    assert found["adamw_8bit"].losses != found["adamw"].losses
