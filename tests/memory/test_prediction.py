"""The plan against real training: each line of the predicted bill within 5% of what PyTorch then holds.

Small random models of every family, full, LoRA and QLoRA (bitsandbytes' own NF4 layers), one real step each.
"""

import gc
import warnings
from dataclasses import replace

import pytest
import torch
from tiny_configs import SMALL, SMALL_7B, small
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig

from lora_lessons import lora, memory, models, training
from lora_lessons.fast.rows import CHUNK
from lora_lessons.memory import Job, prediction, tape
from lora_lessons.memory.build import primed_optimizer
from lora_lessons.memory.way import texts
from lora_lessons.models import four_bit
from lora_lessons.tasks import IGNORED, Encoded

WITHIN = 0.05
MODELS = {
    "llama": lambda: small("llama", num_key_value_heads=6, tie_word_embeddings=False),
    "llama tied": lambda: small("llama", tie_word_embeddings=True),
    "llama of two blocks": lambda: small("llama", num_hidden_layers=2),
    "llama with biases": lambda: small("llama", attention_bias=True, mlp_bias=True),
    "qwen2": lambda: small("qwen2", tie_word_embeddings=False),
    "qwen3": lambda: small("qwen3"),
    "gemma": lambda: small("gemma", num_key_value_heads=1),
    "gemma2": lambda: small("gemma2", num_hidden_layers=7),  # it keeps every attention score
    "gemma3": lambda: small("gemma3_text", num_hidden_layers=7),  # five sliding blocks, one full
    "mistral with a window": lambda: small("mistral", sliding_window=128),
    "gemma3 with a window": lambda: small("gemma3_text", num_hidden_layers=7, sliding_window=128),
    "mixtral": lambda: small("mixtral", num_local_experts=4, intermediate_size=64),
    "qwen3_moe": lambda: small("qwen3_moe", num_experts=8, moe_intermediate_size=32, num_experts_per_tok=2),
    "gpt_oss": lambda: small("gpt_oss", num_local_experts=4, num_experts_per_tok=2, sliding_window=64),  # with sinks
    "phi3": lambda: small("phi3"),  # queries, keys and values in one
    "deepseek_v3": lambda: small(
        "deepseek_v3",
        num_key_value_heads=6,
        n_routed_experts=8,
        moe_intermediate_size=32,
        num_experts_per_tok=2,
        first_k_dense_replace=1,
        n_group=1,
        topk_group=1,
        kv_lora_rank=32,
        q_lora_rank=48,
        qk_nope_head_dim=16,
        qk_rope_head_dim=8,
        v_head_dim=16,
        head_dim=8,
    ),
}
GRID = [
    ("llama", Job("full", dtype="fp32", seq=64, batch_size=2, gradient_checkpointing=False)),
    ("llama", Job("full", seq=48, batch_size=3, optimizer="adamw_fused")),
    ("llama", Job("lora", r=4, seq=128, gradient_checkpointing=False)),
    ("llama", Job("lora", r=16, seq=96, batch_size=2, dtype="fp32")),
    ("llama", Job("qlora", r=8, seq=96, batch_size=2, gradient_checkpointing=False)),
    ("llama", Job("qlora", r=64, seq=16)),
    (
        "llama",
        Job(
            "lora",
            r=8,
            seq=64,
            batch_size=4,
            gradient_checkpointing=False,
            layer="peft",
            target_modules=("q_proj", "v_proj"),
        ),
    ),
    ("llama", Job("lora", r=8, seq=64, layer="peft")),
    ("llama", Job("qlora", r=8, seq=160, layer="peft", gradient_checkpointing=False)),
    ("llama", Job("qlora", r=8, seq=64, batch_size=2, layer="peft", dtype="fp32")),
    ("llama", Job("qlora", r=8, seq=64, optimizer="adamw_8bit")),
    ("llama", Job("full", seq=32, optimizer="adamw_8bit", gradient_checkpointing=False)),
    ("llama", Job("lora", r=8, seq=64, optimizer="paged_adamw", adapter_dtype="bf16", gradient_checkpointing=False)),
    ("llama tied", Job("full", seq=64, gradient_checkpointing=False)),
    ("llama tied", Job("full", seq=8)),
    ("llama tied", Job("lora", r=8, seq=64, batch_size=2, dtype="fp32", autocast=True, gradient_checkpointing=False)),
    ("llama", Job("lora", r=8, seq=600, dtype="fp32", autocast=True)),
    ("qwen2", Job("lora", 8, ("q_proj", "v_proj"), 64, dtype="fp32", gradient_checkpointing=False)),
    ("qwen3", Job("lora", r=8, seq=64, batch_size=2, dtype="fp32", autocast=True, gradient_checkpointing=False)),
    ("qwen3", Job("lora", r=8, seq=64, dtype="fp32", autocast=True)),
    ("llama of two blocks", Job("qlora", r=8, seq=64)),
    ("llama of two blocks", Job("full", seq=64)),
    ("llama with biases", Job("qlora", r=8, seq=64, gradient_checkpointing=False)),
    ("llama with biases", Job("lora", r=8, seq=64)),
    ("qwen2", Job("qlora", r=8, seq=256, gradient_checkpointing=False)),
    ("qwen3", Job("qlora", r=8, seq=64, layer="peft")),
    ("gemma", Job("full", seq=64, gradient_checkpointing=False)),
    ("gemma", Job("qlora", r=8, seq=64, batch_size=2)),
    ("gemma2", Job("lora", r=8, seq=96, batch_size=2, gradient_checkpointing=False)),
    ("gemma3", Job("qlora", r=8, seq=64)),
    ("llama", Job("lora", r=8, seq=600)),
    ("qwen2", Job("lora", r=8, seq=600, gradient_checkpointing=False)),
    ("mistral with a window", Job("lora", r=8, seq=127, gradient_checkpointing=False)),
    ("mistral with a window", Job("lora", r=8, seq=128, gradient_checkpointing=False)),
    ("mistral with a window", Job("lora", r=8, seq=512, gradient_checkpointing=False)),
    ("mistral with a window", Job("qlora", r=8, seq=512, batch_size=2, dtype="fp32")),
    ("gemma3 with a window", Job("lora", r=8, seq=384, gradient_checkpointing=False)),
    ("gemma3 with a window", Job("qlora", r=8, seq=384, dtype="fp32")),
    ("mixtral", Job("lora", r=4, seq=128, gradient_checkpointing=False)),
    ("mixtral", Job("qlora", r=4, seq=720)),
    ("qwen3_moe", Job("full", seq=64)),
    ("qwen3_moe", Job("lora", r=4, seq=96, batch_size=2)),
    ("deepseek_v3", Job("lora", r=4, seq=96, gradient_checkpointing=False)),
    ("qwen3_moe", Job("lora", r=4, seq=96, dtype="fp32")),
    ("qwen3_moe", Job("lora", r=4, seq=96, dtype="fp16", gradient_checkpointing=False)),
    ("gpt_oss", Job("lora", r=4, seq=96, gradient_checkpointing=False)),
    ("gpt_oss", Job("qlora", r=4, seq=192, batch_size=2)),
    ("phi3", Job("lora", r=4, seq=192, gradient_checkpointing=False)),
]


def real(shape, job):
    """A model with numbers, a batch, an optimizer and the fast path if the job takes it, ready for a step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, optimizer = memory.build(shape, job, "cpu", card=False)
        if job.recipe == "course":
            model.config.use_cache = False  # as training does (training.no_cache)
        ids = torch.randint(3, 1000, (job.batch_size, job.seq))
    path = None
    if memory.taped(model, job, card=False):  # made as the loop makes it, which knows of no plan
        path = memory.TapedPath(model, torch.bfloat16 if job.autocast else None)
    batch = [Encoded(one, one) for one in ids] if path else {"input_ids": ids, "labels": ids}
    return model, batch, optimizer, path


def loss_of(model, batch, path):
    return path.loss(batch) if path else model(**batch).loss


def profiled(run):
    """Bytes that PyTorch's allocator gave out while `run` ran: at most at a time, and still out at its end."""
    gc.collect()  # what earlier tests left in circles is not to be freed meanwhile
    # oneDNN, which packs weights for a processor's AMX into memory of its own, is left out: no card has that,
    # and no plan
    without = torch.backends.mkldnn.flags(enabled=False)
    with without, profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = run()
    events = sorted(
        (e.start_ns(), e.nbytes()) for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"
    )
    alive, most = 0, 0
    for _, size in events:
        alive += size
        most = max(most, alive)
    del kept
    return most, alive


def close(predicted, measured, least):
    """Within 5%, or nearer than `least` bytes: a thousandth of the whole bill is no line."""
    return abs(predicted - measured) <= max(WITHIN * measured, least)


# One row of each kind always; the others, which differ in what two rows have already, with `make reliability`.
ALWAYS = {0, 1, 4, 6, 8, 10, 12, 15, 18, 20, 22, 27, 28, 30, 36, 40, 42, 44, 46, 47}
ROWS = [
    pytest.param(name, job, id=f"{name}-{n}", marks=() if n in ALWAYS else pytest.mark.reliability)
    for n, (name, job) in enumerate(GRID)
]


@pytest.mark.parametrize("name, job", ROWS)
def test_every_line_is_what_a_real_step_holds(name, job):
    shape = memory.shape_of(MODELS[name]())
    predicted = memory.predict(shape, job, card=False)
    model, batch, optimizer, path = real(shape, job)
    measured = memory.measure(model, batch, optimizer, path)

    assert predicted.moment == measured.moment and predicted.moments.keys() == measured.moments.keys()
    least = 1e-3 * measured.bill.total
    for moment, bill in measured.moments.items():
        for line in memory.reconcile(predicted.moments[moment], bill):
            assert close(line.predicted, line.measured, least), f"{moment}: {line}"
    total = memory.reconcile(predicted.bill, measured.bill)[-1]
    assert total.name == "total" and abs(total.error) < WITHIN

    # And without the tape: parameters, moments and gradients by their storages, the rest by the profiler.
    bill, trainable = predicted.moments["optimizer step"], [p for p in model.parameters() if p.requires_grad]
    everything = [t for _, t in (*tape.state(model), *(path.copies() if path else ()))]
    assert close(bill.weights + bill.adapters, memory.held_bytes(everything), least)
    moments = [t for s in optimizer.state.values() for t in s.values() if isinstance(t, torch.Tensor) and t.ndim]
    assert close(bill.optimizer, memory.held_bytes(moments), least)

    in_8_bits = job.optimizer == "adamw_8bit"  # on a processor its step unpacks the moments: no card does that

    def step():
        loss_of(model, batch, path).backward()
        assert close(bill.gradients, memory.held_bytes(p.grad for p in trainable), least)
        if not in_8_bits:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    fixed = memory.held_bytes(everything) + memory.held_bytes(moments)
    most, left = profiled(step)
    fullest = max(b.total for m, b in predicted.moments.items() if not (in_8_bits and m == "optimizer step"))
    assert left < least and fullest == pytest.approx(fixed + most, rel=WITHIN)
    _, kept = profiled(lambda: loss_of(model, batch, path))
    # Of the logits, the loss keeps their log-softmax in fp32; the fast path's, what the head reads and its gradient.
    of_the_head = 2 * SMALL["hidden_size"] * model.get_input_embeddings().weight.itemsize
    kept -= job.batch_size * job.seq * (of_the_head if path else 4 * SMALL["vocab_size"])
    kept -= (
        job.gradient_checkpointing * shape.config().num_hidden_layers * torch.get_rng_state().nbytes
    )  # for an equal second pass
    if not job.autocast:  # which keeps copies of its own for a while
        assert close(predicted.moments["loss"].activations, kept, max(least, 24 * job.batch_size * job.seq))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_base_loaded_in_4_bits_on_a_processor_holds_what_is_planned(checkpointing, monkeypatch):
    """It takes the fast path, and unpacks a slice of each large layer at a time."""
    monkeypatch.setattr(four_bit, "SLICE", 1 << 15)
    sizes = SMALL_7B | {"num_hidden_layers": 5, "vocab_size": 521}  # of no other test: what is traced is kept on disk
    job = Job("qlora", r=8, seq=96, batch_size=2, gradient_checkpointing=checkpointing)
    shape = memory.shape_of(AutoConfig.for_model(**models.SHAPES["Qwen2.5-7B"] | sizes))
    planned = memory.predict(shape, job, card=False)
    model = models.random_base("Qwen2.5-7B", device="cpu", compute_dtype=torch.bfloat16, **sizes)
    lora.attach(model, r=job.r)
    optimizer = primed_optimizer([p for p in model.parameters() if p.requires_grad], job)
    with training.checkpointing(model) if checkpointing else training.no_cache(model):
        measured = memory.measure(model.train(), texts(job), optimizer, memory.TapedPath(model))
    assert planned.fast and not planned.plain and planned.moment == measured.moment
    for line in memory.reconcile(planned.bill, measured.bill):
        assert close(line.predicted, line.measured, 1e-3 * measured.bill.total), line


@pytest.mark.parametrize(
    "name, method",
    [*(("Qwen2.5-7B", method) for method in memory.METHODS), ("Llama-2-7B", "qlora"), ("Mistral-7B", "lora")],
)
def test_the_fixed_part_of_a_7b_is_the_ledgers(name, method):
    net = models.shape(name)
    parameters = sum(p.numel() for p in net.parameters())
    linears = sum(net.get_parameter(f"{n}.weight").numel() for n in lora.resolve_targets(net, "all-linear"))
    lora.attach(net, r=16)
    by_hand = memory.state(parameters, method, lora.trainable_parameters(net), parameters - linears)
    predicted = memory.predict(name, Job(method, r=16)).moments["optimizer step"]
    assert predicted[:6] == pytest.approx(by_hand[:6], rel=0.003)  # codebooks are not in 4.127 bits


def test_one_trace_answers_for_every_length_batch_and_rank():
    """Replayed from prime sizes or run at the very sizes: the same bytes."""
    shape = memory.shape_of(MODELS["llama"]())
    plain = Job("lora", r=24, seq=200, gradient_checkpointing=False, layer="peft")
    fast = Job(r=5, seq=37, batch_size=3)  # fewer tokens than have their logits at once
    for job in (plain, replace(plain, layer="ours", fast=False), fast, replace(fast, seq=200)):
        for blocks in (3, 4):
            by_fast = not prediction.why_plain(shape, job, True)
            of = prediction.primes(prediction.check(shape, job), job, by_fast)
            key = replace(job, batch_size=of[0], seq=of[1], r=of[2])
            replayed = memory.trace(shape, key, blocks, None, True, of)
            run = memory.trace(shape, job, blocks, None, True)
            assert by_fast == (job.layer == "ours" and job.fast)
            assert replayed.peaks(job.batch_size, job.seq, job.r, min(CHUNK, job.batch_size * (job.seq - 1)))[
                :, :, 0
            ] == pytest.approx(run.peaks()[:, :, 0], rel=(2e-3 if by_fast else 1e-6), abs=100)


def taught(prompt, answer, opening):
    """A text that begins with `opening`; what follows the prompt is supervised."""
    ids = torch.cat([opening, torch.randint(3, 1000, (prompt + answer,))])
    labels = ids.clone()
    labels[: len(opening) + prompt] = IGNORED
    return Encoded(ids, labels)


@pytest.mark.parametrize("name", ["llama", "qwen3"])
@pytest.mark.parametrize("summed", [False, True])
def test_the_fullest_of_real_batches_is_planned_as_it_is(name, summed):
    """Some share a beginning, some are padded, few tokens are supervised: the very step that training takes."""
    shape, openings = memory.shape_of(MODELS[name]()), (torch.arange(5, 35), torch.arange(5, 7))
    batches = [[taught(n, 20, opening) for n in (10, 30, 90, 14)] for opening in openings]
    job = Job("lora", r=8, dtype="fp32", gradient_checkpointing=False, batch_size=2 if summed else 4)
    planned = memory.predict_texts(shape, job, batches, card=False)
    model, _, optimizer, path = real(shape, job)
    trained = [p for p in model.parameters() if p.requires_grad]

    def held(batch):
        whole = memory.measure(model, batch, optimizer, path).bill
        return whole.total + summed * (4 * sum(p.numel() for p in trained) - whole.gradients)

    pieces = [batch[i : i + job.batch_size] for batch in batches for i in range(0, 4, job.batch_size)]
    assert planned.fast == (name == "llama") == bool(path)
    assert planned.bill.total == pytest.approx(max(map(held, pieces)), rel=WITHIN)


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_gradients_that_are_summed_over_several_batches_are_held_from_the_start(name):
    """On the fast path and on the plain one."""
    shape, job = memory.shape_of(MODELS[name]()), Job("lora", r=8, seq=64)
    once, several = (
        memory.predict(shape, replace(job, gradient_accumulation_steps=k)).moments["forward"].gradients for k in (1, 4)
    )
    model, *_ = real(shape, replace(job, dtype="fp32"))
    assert once == 0 and several == 4 * sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_many_lengths_at_once_are_one_by_one():
    job, lengths = Job(r=8, gradient_checkpointing=False), [1, 64, 300, 4096]
    for seq, ledger in zip(lengths, memory.ledgers(MODELS["qwen2"](), job, lengths), strict=True):
        assert ledger == memory.predict(MODELS["qwen2"](), replace(job, seq=seq))


def test_only_a_card_has_overhead():
    card, processor = (memory.predict("Llama-2-7B", Job(), card=yes).bill for yes in (True, False))
    assert processor.overhead == 0
    assert card.overhead == memory.CONTEXT_BYTES + memory.SLACK * (card.total - card.overhead)


def test_paged_moments_are_not_on_the_card():
    plain, paged = (memory.predict("Mistral-7B", Job(optimizer=o)) for o in ("adamw", "paged_adamw"))
    assert paged.bill.optimizer == 0 and paged.paged == plain.bill.optimizer > 0 == plain.paged


def test_foreach_needs_room_for_every_number_and_fused_does_not():
    """PyTorch's default AdamW on a card holds one temporary copy of all that trains."""
    step = {
        o: memory.predict("Llama-2-7B", Job("full", optimizer=o)).moments["optimizer step"]
        for o in ("adamw", "adamw_fused")
    }
    assert step["adamw"].working == pytest.approx(step["adamw"].gradients, rel=0.01)
    assert step["adamw_fused"].working < 0.001 * step["adamw_fused"].gradients


def test_planning_leaves_bitsandbytes_as_it_was():
    """Its codebooks are kept for all who come after: one on the meta device would break every later quantization."""
    functional = pytest.importorskip("bitsandbytes.functional")
    functional.name2qmap.clear()
    memory.build(memory.shape_of(MODELS["llama"]()), Job())
    packed, state = functional.quantize_4bit(torch.randn(64, 64), quant_type="nf4", compress_statistics=True)
    assert functional.dequantize_4bit(packed, state).isfinite().all()


def test_nothing_is_warned_about_on_the_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        memory.predict(small("llama", vocab_size=1003), Job())


USUAL = [
    ("qwen2", Job("qlora", r=8, seq=64, recipe="hf", gradient_checkpointing=False)),
    ("llama tied", Job("qlora", r=8, seq=96, recipe="hf")),
    ("gemma", Job("qlora", r=8, seq=64, batch_size=2, recipe="hf")),
    ("mistral with a window", Job("lora", r=8, seq=768, recipe="hf", gradient_checkpointing=False)),
    ("llama", Job("full", seq=64, recipe="hf")),
    ("llama", Job("full fp32", seq=64, recipe="hf")),
]


@pytest.mark.parametrize("name, job", USUAL, ids=[f"{name}-{n}" for n, (name, _) in enumerate(USUAL)])
def test_what_is_played_on_meta_is_what_torchs_own_autocast_holds(name, job):
    shape = memory.shape_of(MODELS[name]())
    predicted = memory.predict(shape, job, card=False)
    measured = memory.measure(*real(shape, job)[:3])
    assert predicted.moment == measured.moment and predicted.moments.keys() == measured.moments.keys()
    for moment, bill in measured.moments.items():
        for line in memory.reconcile(predicted.moments[moment], bill):
            assert abs(line.predicted - line.measured) <= max(0.02 * line.measured, 1e-3 * bill.total), (
                f"{moment}: {line}"
            )


def test_a_plan_does_not_multiply_what_was_asked_for():
    job = Job("lora", r=8, seq=64, steps=1000, gradient_accumulation_steps=100, layer="peft")
    assert memory.predict(MODELS["llama"](), job).bill.total > 0
