"""What can go wrong with nobody noticing, one change at a time: the file, the text before and after,
the test that sees it.

The sentence says what the sabotage does. The old text must stand in the file once; who changes that line brings the
sabotage up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Sabotage(NamedTuple):
    """One change that a test must notice: in `file`, `old` becomes `new`."""

    what: str
    file: str
    old: str
    new: str
    # what pytest is given; one of them fails
    tests: tuple[str, ...]


def _in(file: str, *changes: tuple[str, str, str, str]) -> Iterator[Sabotage]:
    """Sabotages of one file: (what, old, new, tests), the tests as paths below tests/ with spaces between."""
    for what, old, new, tests in changes:
        yield Sabotage(what, file, old, new, tuple(f"tests/{test}" for test in tests.split()))


SABOTAGES: list[Sabotage] = [
    *_in(
        "lora_lessons/lora.py",
        (
            "r/α in place of α/r",
            "return lora_alpha / (math.sqrt(r) if use_rslora else r)",
            "return (math.sqrt(r) if use_rslora else r) / lora_alpha",
            "test_lora.py::test_the_update_is_scaled_by_alpha_over_r",
        ),
        (
            "a model is merged with an update that is NaN",
            "        check_update(name, layer.lora_A, layer.lora_B, layer.scaling)\n",
            "",
            "test_adapter.py::test_numbers_that_are_none_are_not_read_saved_or_merged",
        ),
        (
            "A starts twice too wide: Kaiming with a = 0",
            "a=math.sqrt(5)",
            "a=0",
            "test_lora.py::test_a_starts_uniform_within_one_over_the_root_of_k_and_b_at_zero",
        ),
        (
            "A starts at zero and B at random",
            (
                "nn.Parameter(torch.empty(r, k, device=device))\n        self.lora_B = nn.Parameter(torch.zeros(d, r, "
                "device=device))\n        nn.init.kaiming_uniform_(self.lora_A,"
            ),
            (
                "nn.Parameter(torch.zeros(r, k, device=device))\n        self.lora_B = nn.Parameter(torch.empty(d, r, "
                "device=device))\n        nn.init.kaiming_uniform_(self.lora_B,"
            ),
            (
                "test_lora.py::test_a_fresh_adapter_changes_nothing "
                "test_lora.py::test_only_a_and_b_train_and_at_step_zero_only_b_has_a_gradient"
            ),
        ),
        (
            "A is drawn from whatever was drawn before",
            "        torch.manual_seed(seed)\n",
            "",
            "test_lora.py::test_a_starts_by_the_seed_alone_and_no_other_draw_is_disturbed",
        ),
        (
            "attach disturbs every later draw",
            "with torch.random.fork_rng(devices=[]):",
            "with torch.no_grad():",
            "test_lora.py::test_a_starts_by_the_seed_alone_and_no_other_draw_is_disturbed",
        ),
        (
            "the layer leaves its base trainable",
            "base_layer.requires_grad_(False)",
            "base_layer",
            "test_lora.py::test_a_layer_freezes_its_base",
        ),
        (
            "a merge beyond fp16 makes infinite weights without a word",
            "        _check_fp16(name, layer)\n",
            "",
            "test_lora.py::test_a_merge_that_is_refused_leaves_every_layer_as_it_was",
        ),
        (
            "a merge adds ΔW twice",
            "model.set_submodule(name, layer.merged())",
            "layer.merged(), model.set_submodule(name, layer.merged())",
            "test_lora.py::test_merge_equals_the_adapter_beside_the_base",
        ),
        (
            "a merge forgets the scale",
            "weight.copy_(weight.to(self.lora_A.dtype) + self.delta())",
            "weight.copy_(weight.to(self.lora_A.dtype) + self.lora_B @ self.lora_A)",
            "test_lora.py::test_merge_equals_the_adapter_beside_the_base",
        ),
        (
            "a merge into bf16 rounds ΔW before it is added",
            "weight.copy_(weight.to(self.lora_A.dtype) + self.delta())",
            "weight.copy_(weight + self.delta().to(weight.dtype))",
            "test_lora.py::test_the_layer_and_its_merge_round_once",
        ),
        (
            "the layer rounds its update before it is added",
            "(h + update).to(h.dtype)",
            "h + update.to(h.dtype)",
            "test_lora.py::test_the_layer_and_its_merge_round_once",
        ),
        (
            "a merge that is refused has merged the layers before",
            "    for name, layer in lora_layers(model):\n        check_mergeable(layer.base_layer)\n",
            "    for name, layer in lora_layers(model):\n",
            "test_lora.py::test_a_merge_that_is_refused_leaves_every_layer_as_it_was",
        ),
        (
            "a factor of the update is ignored",
            "layer.scaling = factor * scale(",
            "layer.scaling = scale(",
            "test_mixing.py::test_the_factor_scales_the_update",
        ),
    ),
    *_in(
        "lora_lessons/targets.py",
        (
            "all-linear adapts the output head as well",
            "adapted = [name for name in linears if id(modules[name]) not in in_head]",
            "adapted = linears",
            "test_lora.py::test_all_linear_leaves_a_classifiers_head_alone_as_peft_does",
        ),
    ),
    *_in(
        "lora_lessons/mixing.py",
        (
            "a weighted sum forgets the weights",
            "w * a.scaling(layer) * a.B[layer]",
            "a.scaling(layer) * a.B[layer]",
            "test_mixing.py::test_a_weighted_sum_adds_the_updates_whatever_their_ranks_scales_and_targets",
        ),
        (
            "an adapter is put on stronger than it was trained",
            "adapter: Adapter | None, factor: float = 1.0)",
            "adapter: Adapter | None, factor: float = 1.6)",
            "test_mixing.py::test_the_factor_scales_the_update",
        ),
        (
            "a merge is undone by subtracting ΔW",
            "layer.base_layer.weight.copy_(kept[name])",
            "layer.base_layer.weight.sub_(layer.delta())",
            "test_mixing.py::test_folding_in_is_undone_bit_for_bit_and_subtracting_is_not",
        ),
    ),
    *_in(
        "lora_lessons/many_adapters.py",
        (
            "a small adapter in the stack is scaled by the largest rank",
            "torch.tensor([adapter.scaling(name) for adapter in adapters])",
            "torch.tensor([adapter.lora_alpha / r for adapter in adapters])",
            "test_many_adapters.py::test_each_row_has_its_merged_models_logits_whatever_the_ranks_and_scales",
        ),
        (
            "a row that wants no adapter goes through the first one",
            "(self.scaling[rows] * on)[:, None, None]",
            "self.scaling[rows][:, None, None]",
            "test_many_adapters.py::test_each_row_has_its_merged_models_logits_whatever_the_ranks_and_scales",
        ),
        (
            "a row meets the B of another row's adapter",
            "self.lora_B[rows].float()",
            "self.lora_B[rows.flip(0)].float()",
            "test_many_adapters.py::test_each_row_has_its_merged_models_logits_whatever_the_ranks_and_scales",
        ),
    ),
    *_in(
        "lora_lessons/adapter.py",
        (
            "an adapter is saved as if its scale had not been set",
            "layer.lora_B.detach().cpu() * (layer.scaling / adapter.scaling(layer_name))",
            "layer.lora_B.detach().cpu().clone()",
            "test_adapter.py::test_the_scale_is_saved_too",
        ),
        (
            "an adapter that was taken goes on training",
            "layer.lora_A.detach().cpu().clone()",
            "layer.lora_A.detach().cpu()",
            "test_adapter.py::test_an_adapter_taken_and_put_on_again_is_the_same",
        ),
        (
            "a layer's own alpha is forgotten when an adapter is put on",
            "        alpha_pattern=adapter.alpha_pattern,\n",
            "",
            "test_peft_config.py::test_every_kind_is_loaded_as_peft_loads_it_or_refused_by_name",
        ),
        (
            "a rank that W has not is narrowed without its scale",
            "alphas[name] *= scale(r_a, 1, use_rslora) / scale(min(d, k), 1, use_rslora)",
            "alphas[name] *= 1",
            "test_adapter.py::test_a_rank_that_w_has_not_is_read_as_peft_computes_it",
        ),
        (
            "an adapter with NaN in it is read without a word",
            '        check_update(f"{folder.name}, {name}", A[name], B[name], adapter.scaling(name))\n',
            "        pass\n",
            "test_adapter.py::test_numbers_that_are_none_are_not_read_saved_or_merged",
        ),
        (
            "a pickled adapter is taken where there are no safetensors",
            'ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"',
            'ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.bin"',
            "test_adapter.py::test_a_folder_that_holds_no_adapter_is_refused",
        ),
    ),
    *_in(
        "lora_lessons/quant/nf4.py",
        (
            "one level of NF4 is not the published one",
            "both = torch.cat([left, torch.zeros(1), right.flip(0)]).float()",
            "both = torch.cat([left, torch.full((1,), 1e-3), right.flip(0)]).float()",
            "quant/test_nf4.py::test_nf4_is_the_published_table",
        ),
        (
            "a block's absmax is the largest value, whatever the smallest",
            "absmax = torch.cat([blocks.abs().amax(1), last])",
            "absmax = torch.cat([blocks.amax(1), last])",
            "quant/test_nf4.py::test_bitsandbytes_has_the_same_bits",
        ),
        (
            "each block comes back with its neighbour's absmax",
            "scaled = (blocks * absmax[: len(blocks), None]).view(-1)",
            "scaled = (blocks * absmax.roll(1)[: len(blocks), None]).view(-1)",
            "quant/test_nf4.py::test_bitsandbytes_has_the_same_bits",
        ),
        (
            "a last, short block shares the scale of the one before",
            "rest * absmax[len(blocks)]",
            "rest * absmax[len(blocks) - 1]",
            "quant/test_nf4.py::test_what_comes_back_has_shape_and_dtype_and_is_near",
        ),
        (
            "the two codes of a byte change places",
            "return (codes[::2] << 4) | codes[1::2]",
            "return (codes[1::2] << 4) | codes[::2]",
            "quant/test_nf4.py::test_bitsandbytes_has_the_same_bits",
        ),
        (
            "double quantization forgets its offset",
            "d.absmax, DOUBLE_BLOCK) + d.offset",
            "d.absmax, DOUBLE_BLOCK)",
            "quant/test_nf4.py::test_bitsandbytes_has_the_same_bits",
        ),
        (
            "a layer in 4 bits keeps its weight in 16 bits for the way back",
            "        ctx.q = q\n",
            "        ctx.q = q\n        ctx.save_for_backward(dequantize(q))\n",
            "quant/test_nf4.py::test_the_layer_keeps_no_16_bit_copy_for_backward",
        ),
    ),
    *_in(
        "lora_lessons/quant/gptq.py",
        (
            "GPTQ's errors do not move on within a group",
            "errors[i], alpha=-1)",
            "errors[i], alpha=0)",
            "quant/test_calibrated.py::test_gptq_is_the_optimal_brain_textbook",
        ),
        (
            "GPTQ's errors do not move on to the next group",
            "W[last:] -= U[first:last, last:].T @ errors",
            "W[last:] -= 0 * U[first:last, last:].T @ errors",
            "quant/test_calibrated.py::test_gptq_is_the_optimal_brain_textbook",
        ),
    ),
    *_in(
        "lora_lessons/quant/gptq.py",
        (
            "AWQ's enlarged columns stay enlarged",
            "return W if self.channels is None else W / self.channels.float()",
            "return W",
            "quant/test_calibrated.py::test_awq_keeps_the_function_until_it_rounds",
        ),
    ),
    *_in(
        "lora_lessons/tasks/conversations.py",
        (
            "every label stands one place too early",
            "torch.tensor(labels + taught))",
            "torch.tensor(labels[1:] + taught + [IGNORED]))",
            "tasks/test_conversations.py::test_the_end_is_supervised_also_where_the_template_has_none",
        ),
        (
            "the prompt is supervised as well",
            "labels = [IGNORED] * len(given)",
            "labels = list(given)",
            "tasks/test_conversations.py::test_the_end_is_supervised_also_where_the_template_has_none",
        ),
        (
            "no end token is appended where the template has none",
            "if not taught.endswith(tokenizer.eos_token):",
            "if False:",
            "tasks/test_conversations.py::test_the_end_is_supervised_also_where_the_template_has_none",
        ),
        (
            "a conversation begins twice: by the template, and by the tokenizer",
            "made = tokenizer(pairs, add_special_tokens=False, **where)",
            "made = tokenizer(pairs, **where)",
            "tasks/test_conversations.py::test_a_tokenizer_that_begins_every_text_begins_a_conversation_once",
        ),
        (
            "an answer is made into tokens alone, which may put a space before it",
            "if whole[: len(given)] != given:",
            "if True:",
            "tasks/test_conversations.py::test_no_answer_begins_with_a_space_that_only_the_tokenizer_puts_there",
        ),
        (
            "an answer of weight 0 is learned",
            'if messages[n].get("weight") != 0]',
            "if messages[n]]",
            "tasks/test_conversations.py::test_what_answers_nobody_or_weighs_nothing_is_not_learned",
        ),
        (
            "of a chat of several answers only the last is learned",
            "looked_for = [] if last_only else answers_in(messages)[:-1][:earlier]",
            "looked_for = answers_in(messages)[:0]",
            "tasks/test_conversations.py::test_every_answer_of_a_chat_is_learned_and_nothing_else_as_transformers_masks_it",
        ),
        (
            "an answer is learned that the template has rewritten",
            (
                "answer = _alone(tokenizer, answer, given[len(before) "
                ":])\n        if not given.startswith(before + answer):"
            ),
            "answer = _alone(tokenizer, answer, given[len(before) :])\n        if False:",
            "tasks/test_conversations.py::test_a_template_that_rewrites_earlier_turns_trains_the_last_answer_and_says_so",
        ),
        (
            "the held-out examples are trained on",
            'Task(name, read_jsonl(folder / "train.jsonl"), read_jsonl',
            'Task(name, read_jsonl(folder / "train.jsonl") + read_jsonl(folder / "held_out.jsonl"), read_jsonl',
            "tasks/test_conversations.py::test_a_task_is_large_enough_and_held_out_by_topic",
        ),
    ),
    *_in(
        "lora_lessons/tasks/jsonl.py",
        (
            "a sentence quotes personal data",
            "text = masked(json.dumps(value))",
            "text = json.dumps(value)",
            "tools/checking/test_personal.py::test_a_value_is_printed_nowhere",
        ),
    ),
    *_in(
        "lora_tools/checking/checker.py",
        (
            "the line that is shown may hold personal data",
            "if not private and (not self.shown",
            "if (not self.shown",
            "tools/checking/test_personal.py::test_the_line_that_is_shown_holds_none",
        ),
    ),
    *_in(
        "lora_tools/checking/checker.py",
        (
            "of a pair only the chosen answer is looked at",
            'for side in [example["prompt"] + example["rejected"], messages] if pair else [messages]:',
            "for side in [messages]:",
            "tools/checking/test_pairs.py::test_a_mistake_is_named_and_costs_no_good_pair",
        ),
    ),
    *_in(
        "lora_tools/checking/likeness.py",
        (
            "a pair turned round passes for a third answer",
            '"\\0".join([asked, *sorted([better, worse])])',
            '"\\0".join([asked, better, worse])',
            "tools/checking/test_pairs.py::test_a_mistake_is_named_and_costs_no_good_pair",
        ),
    ),
    *_in(
        "lora_tools/checking/pairs.py",
        (
            "the shortcut is said of nine pairs, by chance",
            "if self.pairs < ENOUGH or",
            "if",
            "tools/checking/test_pairs.py::test_length_is_a_shortcut_where_it_nearly_always_tells",
        ),
    ),
    *_in(
        "lora_lessons/tasks/preferences.py",
        (
            "two conversations that part at a question pass for a pair",
            'if not shared or {one_way[shared][0], other[shared][0]} != {"assistant"}:',
            "if not shared:",
            "tools/checking/test_pairs.py::test_a_mistake_is_named_and_costs_no_good_pair",
        ),
        (
            "what both conversations share is learned, too",
            '{**one, "weight": 0} if',
            "one if",
            "tools/checking/test_pairs.py::test_of_a_chat_only_what_is_said_after_the_two_part_is_learned",
        ),
    ),
    *_in(
        "lora_lessons/preferences.py",
        (
            "the parts of a DPO step weigh more than the whole",
            " * (len(part) / len(which))",
            "",
            "test_preferences.py::test_a_step_in_parts_or_with_checkpointing_is_the_same_step",
        ),
    ),
    *_in(
        "lora_tools/own/learning.py",
        (
            "lesson 11 holds an adapter against itself",
            "with as_it_began(model, start):",
            "if True:",
            "lessons/l11_your_own/test_learning.py::test_the_reference_is_the_base_though_the_adapter_has_learned_before",
        ),
        (
            "ordinary lines that were asked for are not trained on",
            "training.train(self.model, self.data.taught, ",
            "training.train(self.model, self.data.train, ",
            "lessons/l11_your_own/test_learning.py",
        ),
    ),
    *_in(
        "lora_tools/own/beforehand.py",
        (
            "of a pair only one answer is planned for",
            "batch_size=len(rows_of(texts[0])) * how.batch_size,",
            "batch_size=how.batch_size,",
            "lessons/l11_your_own/test_learning.py::test_pairs_are_planned_with_smaller_steps_and_both_answers_in_memory",
        ),
    ),
    *_in(
        "lora_tools/own/my_data.py",
        (
            "a second round begins with a fresh adapter",
            "    if start is not None:\n",
            "    if False:\n",
            "lessons/l11_your_own/test_learning.py",
        ),
    ),
    *_in(
        "lora_tools/own/second_round.py",
        (
            "an adapter of another base goes on training",
            "_last(its) != _last(here)",
            "False",
            "lessons/l11_your_own/test_learning.py",
        ),
        (
            "what a second round has learned is lost when it is scored",
            "            _put(learned, model)\n",
            "            pass\n",
            "lessons/l11_your_own/test_learning.py",
        ),
    ),
    *_in(
        "lora_tools/own/publishing.py",
        (
            "the card's bound counts held-out lines that were never answered",
            "{pictures.can_tell(asked)}",
            "{pictures.can_tell(len(data.held_out))}",
            "lessons/l11_your_own/test_room.py::test_the_cards_bound_is_that_of_the_answers_and_not_of_all_held_out_lines",
        ),
    ),
    *_in(
        "lora_tools/own/page.py",
        (
            "an answer becomes a part of the page for a colleague",
            "in_html(pair.base), in_html(pair.adapter)",
            "in_html(pair.base), pair.adapter",
            "lessons/l11_your_own/test_room.py",
        ),
    ),
    *_in(
        "lora_lessons/run/kernel.py",
        (
            "a run in a terminal says its minutes when they are over",
            '("display_data", "execute_result", "update_display_data")',
            '("display_data", "update_display_data")',
            "cli/test_run.py::test_what_a_lesson_says_beforehand_is_said_while_it_runs",
        ),
    ),
    *_in(
        "lora_tools/own/ordinary_answers.py",
        (
            "an ordinary answer teaches to end in the middle of a sentence",
            "answer if cut not in answer else",
            "answer if cut else",
            "tools/test_ordinary_answers.py",
        ),
    ),
    *_in(
        "lora_tools/checking/tokens.py",
        (
            "an empty think block is learned without a word",
            "if _EMPTY.match(text.taught):",
            "if _EMPTY.match(text.given):",
            "tools/checking/test_families.py::test_a_think_block_that_every_answer_would_begin_with_is_named_and_without_thinking_it_is_gone",
        ),
        (
            "against an empty think block a setting is advised that its template does not read",
            'f", or {AT_ONCE}" if at_once else ""',
            'f", or {AT_ONCE}"',
            "tools/checking/test_families.py::test_a_setting_is_advised_only_where_the_template_reads_it",
        ),
    ),
    *_in(
        "lora_lessons/tasks/templates.py",
        (
            "a setting is advised that does not help",
            "    return answered.startswith(asked)",
            "    return True",
            "tools/checking/test_families.py::test_a_template_that_never_writes_what_it_asks_with_says_so_and_no_setting_is_advised",
        ),
        (
            "a line of a file brings a template of its own",
            "if taken := [name for name in settings or {} if name in own]:",
            "if taken := [name for name in () if name in own]:",
            "tools/checking/test_families.py::test_what_a_template_makes_of_a_line_is_named_and_nothing_else",
        ),
    ),
    *_in(
        "lora_tools/checking/records.py",
        (
            "one broken row of a table costs the rows after it",
            "            self.put_back(used)\n            if isinstance(error, Fault):",
            "            if isinstance(error, Fault):",
            "tools/checking/test_layouts.py::test_a_broken_row_costs_itself_alone",
        ),
    ),
    *_in(
        "lora_tools/checking/tokens.py",
        (
            "whole files go to the tokenizer at once",
            "if batch and (len(batch) == BATCH or characters + size > CHARACTERS):",
            "if batch and False:",
            "tools/checking/test_likeness.py::test_the_tokenizer_gets_batches_of_a_bounded_size",
        ),
        (
            "the larger of two limits holds",
            "return min((limit for limit in limits",
            "return max((limit for limit in limits",
            "tools/checking/test_tokens.py::test_a_line_that_would_be_cut_is_too_long_and_one_without_room_for_an_answer_is_all_masked",
        ),
        (
            "a line whose answer would be cut counts as good",
            "if limit is None or total <= limit:",
            "if limit is None or sizes.given < limit:",
            "tools/checking/test_tokens.py::test_a_line_that_would_be_cut_is_too_long_and_one_without_room_for_an_answer_is_all_masked",
        ),
    ),
    *_in(
        "lora_tools/checking/records.py",
        (
            "a bracket inside a text ends an element of a list",
            "(_INSIDE if inside else _OUTSIDE)",
            "_OUTSIDE",
            "tools/checking/test_layouts.py::test_one_list_over_many_lines_is_read_element_by_element",
        ),
    ),
    *_in(
        "lora_tools/checking/likeness.py",
        (
            "every order of the runs is the same order",
            "(runs[at : at + 4096] * _FACTORS + _SHIFTS).min(axis=1)",
            "(runs[at : at + 4096] * _FACTORS[:1] + _SHIFTS[:1]).min(axis=1)",
            "tools/checking/test_likeness.py::test_equal_bytes_are_as_many_as_runs_in_common",
        ),
    ),
    *_in(
        "lora_tools/checking/likeness.py",
        (
            "a held-out question is missed under another system message",
            "before_the_answer(messages, system=False)",
            "before_the_answer(messages)",
            "tools/checking/test_checker.py::test_a_held_out_question_is_found_also_when_it_is_nearly_the_same",
        ),
    ),
    *_in(
        "lora_tools/checking/report.py",
        (
            "the question is shown as what is learned",
            "label != IGNORED for label in labels",
            "label == IGNORED for label in labels",
            "tools/checking/test_tokens.py::test_what_is_rendered_is_what_is_encoded",
        ),
        (
            "what a model learns to write steers the terminal that shows it in colour",
            "{before}{visible(s.text)}{after}",
            "{before}{s.text}{after}",
            "tools/checking/test_tokens.py::test_a_terminal_shows_what_is_learned_by_colour_or_by_brackets_and_obeys_no_text",
        ),
    ),
    *_in(
        "lora_lessons/tasks/conversations.py",
        (
            "padding is supervised",
            "batch_first=True, padding_value=IGNORED)",
            "batch_first=True, padding_value=pad_id)",
            "tasks/test_conversations.py::test_collate_pads_on_the_right_and_hides_the_padding",
        ),
        (
            "padding is looked at",
            "for one in ids], batch_first=True)}",
            "for one in ids], batch_first=True, padding_value=1)}",
            "tasks/test_conversations.py::test_collate_pads_on_the_right_and_hides_the_padding",
        ),
        (
            "a packed row teaches each conversation's end to begin the next",
            "    labels[starts] = IGNORED\n",
            "",
            "tasks/test_conversations.py::test_the_loss_of_packed_rows_is_that_of_their_parts",
        ),
        (
            "the conversations of a packed row see each other",
            "positions = torch.cat([torch.arange(len(one.input_ids)) for one in parts])",
            "positions = torch.arange(sum(len(one.input_ids) for one in parts))",
            "tasks/test_conversations.py::test_the_loss_of_packed_rows_is_that_of_their_parts",
        ),
    ),
    *_in(
        "lora_lessons/fast/rows.py",
        (
            "tokens of the fast path see what they are to predict",
            "past(max(own), device)], dim=1)",
            "past(max(own), device).T], dim=1)",
            "fast/test_rows.py::test_a_token_sees_the_prefix_and_its_own_past",
        ),
        (
            "a shared prefix goes on past the first difference",
            "(heads == heads[0]).all(0).long().cumprod(0).sum()",
            "(heads == heads[0]).all(0).long().sum()",
            "fast/test_rows.py::test_a_prefix_ends_before_anything_is_taught_and_at_the_first_difference",
        ),
        (
            "a shared prefix takes in the token that predicts an answer",
            "ne(IGNORED).int().argmax()), len(ids) - 1)",
            "ne(IGNORED).int().argmax()) + 1, len(ids) - 1)",
            "fast/test_rows.py::test_a_prefix_ends_before_anything_is_taught_and_at_the_first_difference",
        ),
    ),
    *_in(
        "lora_lessons/fast/path.py",
        (
            "the fast path's loss is the mean over all tokens",
            "return HeadLoss.apply(h, self.frozen[id(self.model.lm_head)], rows.labels, self.chunk)",
            "return HeadLoss.apply(h, self.frozen[id(self.model.lm_head)], rows.labels, self.chunk) * len(h) / len(x)",
            "fast/test_path.py::test_loss_and_every_gradient_are_the_plain_paths",
        ),
        (
            "a base that computes in fp32 is multiplied in the 16 bits of its embedding",
            "dtype or model.model.norm.weight.dtype",
            "dtype or model.get_input_embeddings().weight.dtype",
            "fast/test_four_bits.py::test_loss_and_every_gradient_are_the_plain_ways",
        ),
        (
            "the fast path keeps everything although checkpointing was asked for",
            "remembers = not (block.gradient_checkpointing and block.training)",
            "remembers = True",
            "fast/test_path.py::test_checkpointing_changes_what_is_kept_and_not_what_is_learned",
        ),
        (
            "the fast path passes over a loss of one's own",
            "if model.loss_function is not ForCausalLMLoss:",
            "if False:",
            "fast/test_path.py::test_a_model_that_it_does_not_know_goes_the_plain_way_and_says_so",
        ),
        (
            "the fast path looks back only where a model looks ahead",
            'if not getattr(config, "is_causal", True) or not all(b.self_attn.is_causal for b in blocks):',
            "if False:",
            "fast/test_path.py::test_a_model_that_it_does_not_know_goes_the_plain_way_and_says_so",
        ),
        (
            "the fast path passes over an attention function of one's own",
            'if attend is not None and not attend.__module__.startswith(("transformers.", f"{_OURS}.")):',
            "if False:",
            "fast/test_path.py::test_a_model_that_it_does_not_know_goes_the_plain_way_and_says_so",
        ),
        (
            "the fast path passes over a class whose forward was replaced",
            'vars(written)["forward"].__module__ != written.__module__',
            "False",
            "fast/test_path.py::test_a_hooked_layer_is_heard",
        ),
    ),
    *_in(
        "lora_lessons/fast/attention.py",
        (
            "attention over short texts sees every token",
            "        scores.unflatten(1, (-1, len(sees))).masked_fill_(~sees, -torch.inf)\n",
            "",
            "fast/test_backward.py::test_attention_over_short_texts",
        ),
        (
            "no text is short enough for the attention of short texts",
            "KEPT = 4 * 2**20",
            "KEPT = 0",
            "fast/test_backward.py::test_only_long_texts_and_cards_take_pytorchs_attention",
        ),
        (
            "a long text without a mask sees what follows",
            "is_causal=sees is None)",
            "is_causal=False)",
            "fast/test_backward.py::test_without_a_mask_each_token_sees_its_past",
        ),
    ),
    *_in(
        "lora_lessons/fast/rows.py",
        (
            "the gradient is divided by the number of answers twice",
            "gradient.div_(len(labels))",
            "gradient.div_(len(labels) ** 2)",
            "fast/test_backward.py::test_the_loss_at_supervised_tokens",
        ),
        (
            "the loss is worked out in 16 bits",
            "return torch.promote_types(h.dtype, torch.float32)",
            "return h.dtype",
            "fast/test_backward.py::test_the_loss_at_supervised_tokens",
        ),
    ),
    *_in(
        "lora_lessons/fast/backward.py",
        (
            "the rotation's backward turns the same way as its forward",
            "_turned(grad, cos, -sin)",
            "_turned(grad, cos, sin)",
            "fast/test_backward.py::test_rotation",
        ),
        (
            "a norm is worked out in 16 bits",
            "        wide = _wide(x)\n",
            "        wide = x\n",
            "fast/test_backward.py::test_rms_norm",
        ),
        (
            "backward forgets that the update is scaled",
            "dB = [scale * (g.T @ part)",
            "dB = [(g.T @ part)",
            "fast/test_backward.py::test_lora_products",
        ),
    ),
    *_in(
        "lora_lessons/training/loop.py",
        (
            "a resumed step draws other random numbers",
            "        torch.manual_seed(settings.seed * 1_000_003 + number)\n",
            "",
            "training/test_runs.py::test_dropout_is_drawn_again_in_a_resumed_run",
        ),
        (
            "gradients add up from step to step",
            "        optimizer.zero_grad()\n",
            "",
            "training/test_loop.py::test_lr_ratio_is_pefts_lora_plus",
        ),
        (
            "every epoch has the same order",
            (
                "    order: list[int] = []\n    while len(order) < needed:\n        order += torch.randperm(count, "
                "generator=generator).tolist()\n"
            ),
            "    order = torch.randperm(count, generator=generator).tolist()\n    order *= -(-needed // count)\n",
            "training/test_loop.py::test_the_batches_cover_each_epoch",
        ),
        (
            "gradients are clipped while fp16's scale is still in them",
            "            scaler.unscale_(optimizer)\n",
            "",
            "training/test_loop.py::test_a_long_gradient_is_shortened_and_keeps_its_direction",
        ),
        (
            "the learning rate does not follow its schedule",
            "set_rate(optimizer, settings.rate(number))",
            "set_rate(optimizer, settings.learning_rate)",
            "training/test_loop.py::test_lr_ratio_is_pefts_lora_plus",
        ),
        (
            "nobody asks whether every matrix has a gradient",
            "            check_gradients(learned)\n",
            "            pass\n",
            "training/test_loop.py::test_matrices_without_gradient_stop_training_and_are_named",
        ),
    ),
    *_in(
        "lora_lessons/training/settings.py",
        (
            "weights never decay",
            '"weight_decay": weight_decay}',
            '"weight_decay": 0.0}',
            "training/test_loop.py::test_lr_ratio_is_pefts_lora_plus",
        ),
    ),
    *_in(
        "lora_lessons/training/loop.py",
        (
            "a resumed run in fp16 forgets its loss scale",
            "if half and state:",
            "if half and not half:",
            "training/test_loop.py::test_fp16_trains_with_a_scaled_loss_and_resumes",
        ),
    ),
    *_in(
        "lora_lessons/training/losses.py",
        (
            "a step's loss is the mean of its micro-batches' means",
            "yield part, supervised / total",
            "yield part, len(part) / len(batch)",
            "training/test_loop.py::test_micro_batches_add_up_to_the_one_large_batch",
        ),
    ),
    *_in(
        "lora_lessons/training/settings.py",
        (
            "a warmup longer than the run never reaches the learning rate",
            "warmup = min(self.warmup, self.steps - 1)",
            "warmup = self.warmup",
            "training/test_loop.py::test_a_warmup_longer_than_the_run_ends_with_its_last_step",
        ),
    ),
    *_in(
        "lora_lessons/training/runs.py",
        (
            "train() ignores gradient_checkpointing",
            "checkpointing(model) if settings.gradient_checkpointing else no_cache(model)",
            "no_cache(model)",
            "training/test_loop.py::test_train_computes_each_block_again_when_asked",
        ),
        (
            "the model is left in training mode",
            "    finally:\n        model.train(was_training)\n",
            "    finally:\n        pass\n",
            "training/test_runs.py::test_the_model_is_left_in_the_mode_it_was_found_in",
        ),
        (
            "the model trains in evaluation mode",
            "    was_training = model.training\n    model.train()\n",
            "    was_training = model.training\n    model.eval()\n",
            "training/test_runs.py::test_the_model_is_left_in_the_mode_it_was_found_in",
        ),
    ),
    *_in(
        "lora_lessons/training/checkpoint.py",
        (
            "a resumed run forgets AdamW's moments",
            "            restore_moments(optimizer, p, kept)\n",
            "            pass\n",
            "training/test_runs.py::test_every_optimizer_resumes_bit_for_bit",
        ),
    ),
    *_in(
        "lora_lessons/training/checkpoint.py",
        (
            "a run's name forgets one setting",
            "json.dumps(asdict(settings), sort_keys=True)",
            'json.dumps(asdict(settings) | {"lr_ratio": 1.0}, sort_keys=True)',
            "training/test_runs.py::test_the_fingerprint_changes_with_every_setting",
        ),
        (
            "a run's name forgets which tokens are taught",
            "for part in (part for part in example if part is not None):",
            "for part in example[:1]:",
            "training/test_runs.py::test_the_fingerprint_changes_with_weights_data_and_settings",
        ),
        (
            "a run's name forgets the scales of weights in 4 bits",
            "tensors_digest(dict(model.named_buffers()))",
            "tensors_digest({})",
            "training/test_runs.py::test_what_no_parameter_shows_changes_the_fingerprint",
        ),
        (
            "a run's name forgets what a dropout drops",
            " {module.extra_repr()}",
            "",
            "training/test_runs.py::test_what_no_parameter_shows_changes_the_fingerprint",
        ),
        (
            "a run's name forgets the code of the fast path",
            '"tasks/*.py", "fast/*.py",',
            '"tasks/*.py",',
            "training/test_runs.py::test_the_fingerprint_changes_with_each_file_that_a_run_depends_on_and_no_other",
        ),
    ),
    *_in(
        "lora_lessons/evaluation.py",
        (
            "perplexity counts a short last window as if it were a whole one",
            "sum(len(w) - 1 for w in windows)",
            "(len(windows) * (len(windows[0]) - 1))",
            "test_evaluation.py::test_perplexity_is_exp_of_the_mean_loss_over_tokens_however_they_fall_into_windows",
        ),
        (
            "what is measured is measured with dropout on",
            "    model.eval()\n",
            "    model.train()\n",
            "test_evaluation.py::test_nothing_is_measured_with_dropout_on",
        ),
        (
            "a packed row's conversations look into each other when they are measured",
            'for name, tensor in batch.items() if name != "labels"}',
            'for name, tensor in batch.items() if name == "input_ids"}',
            "test_evaluation.py::test_a_packed_row_is_worth_what_its_conversations_are",
        ),
    ),
    *_in(
        "lora_lessons/models/loading.py",
        (
            "answers are generated with dropout on",
            "    base.model.eval()\n",
            "    base.model.train()\n",
            "models/test_generation.py::test_an_answer_is_the_likeliest_token_after_the_other_and_dropout_is_off",
        ),
        (
            "a shorter question looks at its padding",
            "[0] * (longest - len(one)) + [1] * len(one)",
            "[1] * longest",
            "models/test_generation.py::test_an_answer_is_the_likeliest_token_after_the_other_and_dropout_is_off",
        ),
        (
            "a model that has become NaN answers with nothing",
            "                logits_processor=[checked],\n",
            "",
            "cli/test_ask.py::test_nan_is_no_empty_answer",
        ),
        (
            "answers are drawn instead of the likeliest",
            "do_sample=False",
            "do_sample=True",
            "models/test_generation.py::test_an_answer_is_the_likeliest_token_after_the_other_and_dropout_is_off",
        ),
    ),
    *_in(
        "lora_lessons/models/gguf_tensors.py",
        (
            "the rows of a GGUF's q and k keep llama.cpp's order",
            "return out if self.heads is None else unpermuted(out, self.heads)",
            "return out",
            "models/test_gguf.py::test_a_gguf_is_what_transformers_makes_of_it",
        ),
        (
            "what a GGUF holds and the model has no place for is left away without a word",
            "if strange := sorted(",
            "if strange := [] and sorted(",
            "models/test_gguf.py::test_what_cannot_be_read_rightly_is_a_sentence",
        ),
    ),
    *_in(
        "lora_lessons/models/gguf_config.py",
        (
            "Llama 3's stretched rotary embeddings are forgotten, as transformers does",
            "    if factors is not None:\n",
            "    if False:\n",
            "models/test_gguf.py::test_llama_3s_stretched_rotary_embeddings_are_read_where_transformers_forgets_them",
        ),
        (
            "a tokenizer has a token whose id is past the embedding's end",
            "if embedding and len(tokenizer) > embedding.sizes[1]:",
            "if False:",
            "models/test_gguf.py::test_a_gguf_has_no_token_more_than_its_embedding_has_rows",
        ),
    ),
    *_in(
        "lora_lessons/models/tensor_by_tensor.py",
        (
            "4-bit weights of another GGUF of this name are taken for its own",
            "str(file.resolve()), [digest], size",
            "str(file.resolve()), [file.name], size",
            "models/test_gguf.py::test_4_bit_weights_of_a_gguf_are_kept_while_the_file_is_the_same",
        ),
        (
            "a weight with NaN is rounded to 4 bits",
            "    if not made.isfinite().all():\n",
            "    if False:\n",
            "models/test_four_bits.py::test_a_weight_with_nan_is_named",
        ),
    ),
    *_in(
        "lora_lessons/models/four_bit.py",
        (
            "every slice of a large weight is given the scales of the first",
            "absmax[:, j // BLOCKSIZE : end // BLOCKSIZE]",
            "absmax[:, : (end - j) // BLOCKSIZE]",
            "models/test_four_bits.py::test_slices_multiply_as_the_whole",
        ),
        (
            "a 4-bit weight is unpacked in one piece, however large",
            "return state.shape.numel() >= 2 * _weights(dtype) and state.shape[1] % BLOCKSIZE == 0",
            "return False",
            "fast/test_four_bits.py::test_no_more_than_a_slice_is_unpacked_at_a_time",
        ),
    ),
    *_in(
        "lora_lessons/models/frozen.py",
        (
            "an unpacked weight lives on until the way back",
            "        return frozen.product(x)\n",
            '        ctx.kept = getattr(frozen, "_packed", None) and frozen.product(torch.eye(x.shape[-1], '
            "dtype=x.dtype))\n"
            "        return frozen.product(x)\n",
            "fast/test_four_bits.py::test_nothing_of_an_unpacked_weight_is_kept",
        ),
    ),
    *_in(
        "lora_lessons/memory/build.py",
        (
            "a plan for a processor holds a card's layers, which train the plain way there",
            'card and device != "cpu")',
            "True)",
            "memory/test_prediction.py::test_a_base_loaded_in_4_bits_on_a_processor_holds_what_is_planned",
        ),
    ),
    *_in(
        "lora_lessons/models/embedded.py",
        (
            "a base whose file was damaged is used",
            "elif wrong := damaged(folder):",
            "elif wrong := list[str]():",
            "models/test_fetched.py::test_a_base_that_was_damaged_is_said_and_made_anew",
        ),
        (
            "code that a folder brings may run",
            "local_files_only=True, trust_remote_code=False",
            "local_files_only=True, trust_remote_code=True",
            "test_security.py::test_no_pickle_no_remote_code_and_no_shell_is_reachable",
        ),
    ),
    *_in(
        "lora_tools/exporting/gguf/model.py",
        (
            "a base with NaN, or beyond 16 bits, is exported",
            "            _check_numbers(tensor, name, source, stored)\n",
            "",
            "tools/export/gguf/test_files.py::test_a_base_whose_numbers_no_answer_survives_is_not_written",
        ),
    ),
    *_in(
        "lora_tools/cli/check.py",
        (
            "inspect --overwrite replaces a file that is no page",
            "        check_page(html)\n    from .. import inspection",
            "    from .. import inspection",
            "cli/test_inspect.py::test_a_page_is_whole_and_no_file_is_replaced_unasked",
        ),
    ),
    *_in(
        "lora_lessons/models/loading.py",
        (
            "a tokenizer.json that lies beside a GGUF is taken for its own",
            "AutoTokenizer.from_pretrained(alone, gguf_file=str(file.resolve()),",
            "AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name,",
            "models/test_gguf.py::test_a_tokenizer_that_lies_beside_a_gguf_is_not_taken_for_its_own",
        ),
        (
            "a base runs the code that lies beside it",
            "place, dtype=dtype, trust_remote_code=False,",
            "place, dtype=dtype, trust_remote_code=True,",
            "test_security.py::test_no_pickle_no_remote_code_and_no_shell_is_reachable",
        ),
        (
            "a base that lacks a weight answers with one drawn at random",
            'if missing := sorted(about["missing_keys"]):',
            'if missing := sorted(about["missing_keys"])[:0]:',
            "models/test_loading.py::test_weights_that_transformers_would_invent_or_convert_are_refused",
        ),
        (
            "a pickled base is taken where safetensors of something else lie beside it",
            '"use_safetensors": True',
            '"use_safetensors": None',
            "models/test_loading.py::test_a_pickle_is_not_read_although_safetensors_of_something_else_lie_beside_it",
        ),
        (
            "a base comes with the adapter that lies beside it",
            ', "adapter_kwargs": {"subfolder": "\\0"}',
            "",
            "models/test_loading.py::test_a_base_stays_bare_where_an_adapter_lies_beside_it",
        ),
    ),
    *_in(
        "lora_lessons/llamacpp/worker.py",
        (
            "llama.cpp's server listens to the whole network",
            '["127.0.0.1"], 0,',
            '["0.0.0.0"], 0,',
            "tools/export/llamacpp/test_server.py::test_the_server_answers_only_with_the_token_and_only_here",
        ),
        (
            "llama.cpp's server asks for no token",
            '[job["token"]]',
            "[]",
            "tools/export/llamacpp/test_server.py::test_the_server_answers_only_with_the_token_and_only_here",
        ),
    ),
    *_in(
        "lora_lessons/outside.py",
        (
            "JupyterLab sets what others wrote as formulas",
            'return re.sub(r"[$\\\\]", lambda sign: _FORMULA[sign[0]], in_attribute(text))',
            "return in_attribute(text)",
            "test_outside.py::test_html_makes_nothing_of_it_and_it_is_read_back",
        ),
        (
            "an underscore at the edge of a word begins an emphasis",
            r'    r"|(?<![^\W_])_+|_+(?![^\W_])"',
            '    r""',
            "test_outside.py::test_markdown_makes_nothing_of_it",
        ),
        (
            "a mark that turns the direction of writing is sent to the terminal",
            "\\u2028-\\u202e",
            "\\u2028-\\u2029",
            "test_outside.py::test_what_is_unseen_is_shown_as_json_would_and_what_spells_a_word_stays",
        ),
    ),
    *_in(
        "lora_tools/cli/terminal.py",
        (
            "a command prints control characters that it was given",
            "visible(text[begin:])",
            "text[begin:]",
            "cli/test_terminal.py::test_an_adapter_and_its_folder_are_shown_as_text",
        ),
    ),
    *_in(
        "lora_lessons/run/lab.py",
        (
            "a learner's copy keeps the badge",
            '_LEFT_OUT.sub("", ',
            "str(",
            "cli/test_lab.py::test_a_learners_copy_has_not_been_run_and_shows_no_answer_no_broken_picture_and_no_sign_that_a_font_lacks",
        ),
    ),
    *_in(
        "lora_lessons/course/backdrop.py",
        (
            "on a phone the panels stay side by side",
            "            ax.set_subplotspec(grid[number])\n",
            "            pass\n",
            "course/test_stage.py::test_on_a_phone_panels_stand_one_below_the_other_and_words_fit",
        ),
    ),
    *_in(
        "lora_lessons/course/stage.js",
        (
            "on a phone the marks stay where the screen's picture had them",
            "  if (from === to) return mark;\n",
            "  if (from) return mark;\n",
            "browser/test_widgets_on_the_web.py::test_on_a_phone_nothing_of_a_widget_is_hidden_and_its_marks_stand_where_python_puts_them",
        ),
    ),
    *_in(
        "workshop/animation.py",
        (
            "the README's animation begins with an empty plot",
            "        frames[-1].save(\n",
            "        frames[0].save(\n",
            "in_workshop/test_animation.py::test_one_frame_a_step_a_pause_at_every_answer_and_the_last_one_stays",
        ),
    ),
    *_in(
        "lora_tools/cli/run.py",
        (
            "stored outputs leave another run's seconds in the baseline",
            "baselines.keep_volatile(result.lesson, profile, result.records)",
            "pass",
            "cli/test_run.py::test_what_depends_on_the_machine_is_kept_of_the_run_whose_outputs_are_stored",
        ),
        (
            "JupyterLab listens to the whole network",
            'options.append("--ServerApp.ip=127.0.0.1")',
            'options.append("--ServerApp.ip=0.0.0.0")',
            "cli/test_lab.py::test_lab_opens_the_lesson_with_a_token_and_without_the_news_question",
        ),
        (
            "JupyterLab asks for no token",
            'options.append("--ServerApp.ip=127.0.0.1")',
            'options.extend(["--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="])',
            "cli/test_lab.py::test_lab_opens_the_lesson_with_a_token_and_without_the_news_question",
        ),
    ),
    *_in(
        "lora_tools/exporting/gguf/model.py",
        (
            "A is exported transposed",
            '("lora_a", A)',
            '("lora_a", A.T)',
            "tools/export/gguf/test_files.py::test_the_adapters_file_holds_a_and_b_and_the_alpha_that_llama_cpp_divides_by_r",
        ),
        (
            "an exported layer with an alpha of its own gets that of the others",
            " * names.factor_of_b(adapter, layer)",
            "",
            "tools/export/gguf/test_agreement.py::test_llama_cpp_and_peft_compute_the_same",
        ),
        (
            "the exported adapter does not say its alpha",
            '        writer.add_float32("adapter.lora.alpha", names.gguf_alpha(adapter))\n',
            "",
            "tools/export/gguf/test_files.py::test_the_adapters_file_holds_a_and_b_and_the_alpha_that_llama_cpp_divides_by_r",
        ),
    ),
    *_in(
        "lora_tools/exporting/gguf/names.py",
        (
            "an exported rsLoRA adapter keeps its own alpha",
            "return scale(adapter.r, adapter.lora_alpha, adapter.use_rslora) * adapter.r",
            "return adapter.lora_alpha",
            "tools/export/gguf/test_files.py::test_the_adapters_file_holds_a_and_b_and_the_alpha_that_llama_cpp_divides_by_r",
        ),
        (
            "the rows of q and k keep Hugging Face's order",
            "return rows.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2).contiguous()",
            "return rows.contiguous()",
            "tools/export/gguf/test_files.py::test_the_adapters_file_holds_a_and_b_and_the_alpha_that_llama_cpp_divides_by_r",
        ),
    ),
    *_in(
        "lora_tools/exporting/gguf/together.py",
        (
            "an adapter's export takes over the files of a killed one of another scale",
            'f"{adapter.name} {[adapter.scaling(layer) for layer in sorted(adapter.A)]}"',
            'f"{adapter.name}"',
            "tools/export/gguf/test_killed.py::test_another_adapters_export_takes_nothing_over",
        ),
    ),
    *_in(
        "lora_tools/exporting/gguf/model.py",
        (
            "a GGUF does not say how far its rotary embeddings are stretched",
            ', rope_scaling_factor=rope["factor"])',
            ")",
            "tools/export/gguf/test_agreement.py::test_stretched_rotary_embeddings_agree",
        ),
    ),
    *_in(
        "lora_tools/exporting/ollama/folder.py",
        (
            "the Modelfile has no template",
            'lines = [f"TEMPLATE {modelfile.quote(template)}"]',
            "lines: list[str] = []",
            "tools/export/ollama/test_folder.py::test_relative_paths_mean_what_they_mean_here_and_the_base_is_opened_and_proven_once",
        ),
        (
            "the Modelfile names no stop",
            '        f"PARAMETER stop {modelfile.quote(stop)}",\n',
            "",
            "tools/export/ollama/test_folder.py::test_relative_paths_mean_what_they_mean_here_and_the_base_is_opened_and_proven_once",
        ),
        (
            "an export takes files that are not its own away with the folder",
            "    check_replaced(out, FILES)\n",
            "",
            "tools/export/ollama/test_folder.py::test_the_command_says_how_to_run_it",
        ),
    ),
    *_in(
        "lora_lessons/run/side_by_side.py",
        (
            "a lesson that compares speeds runs beside others",
            'TIMED = ("08_faster", "09_many_adapters")',
            "TIMED = ()",
            "run/test_side_by_side.py",
        ),
        (
            "lessons run side by side whatever they hold",
            "needs[waiting[0]] > room:",
            "needs[waiting[0]] > 1e99:",
            "run/test_side_by_side.py",
        ),
    ),
    *_in(
        "lora_lessons/run/runner.py",
        (
            "a run writes its notebook over a learner's copy",
            "    _check_no_work(out, lessons)\n",
            "",
            "cli/test_run.py::test_a_report_takes_the_place_of_no_notebook_but_an_earlier_reports",
        ),
    ),
    *_in(
        "lora_tools/cli/options.py",
        (
            "new/../mine is not there, so that it is replaced unasked",
            'path.resolve() if ".." in path.parts else path',
            "path",
            "cli/test_run.py::test_a_path_is_meant_from_where_the_command_was_typed",
        ),
        (
            "a folder named embedded takes the place of the base of that name",
            " and not _means_a_model(text) else text",
            " else text",
            "cli/test_places.py::test_a_default_is_absolute_too_and_a_name_stays_a_name",
        ),
    ),
    *_in(
        "lora_lessons/memory/bill.py",
        (
            "the ledger counts one of AdamW's moments",
            "4 * trainable, 8 * trainable)",
            "4 * trainable, 4 * trainable)",
            "memory/test_prediction.py::test_the_fixed_part_of_a_7b_is_the_ledgers",
        ),
    ),
    *_in(
        "lora_lessons/memory/parts.py",
        (
            "only half of a model that also sees is counted, without a word",
            "half_of=kind if kind != config.model_type else None",
            "half_of=None",
            "memory/test_job.py::test_a_model_that_also_sees_says_that_half_of_it_is_counted",
        ),
    ),
    *_in(
        "lora_lessons/planning/cards.py",
        (
            "a card holds GB, not GiB",
            "FOR_A_PROCESS.get(known.name, size) * GIB",
            "FOR_A_PROCESS.get(known.name, size) * 1e9",
            "tools/planning/test_cards.py::test_a_card_holds_gib",
        ),
        (
            "a number that is no card is read as that many gigabytes",
            "most = 2000 if gb and gb[2] else LARGEST_BARE",
            "most = 2000",
            (
                "tools/planning/test_cards.py::test_what_is_no_card_is_refused "
                "tools/planning/test_cards.py::test_what_is_nearly_a_card_names_those_that_it_may_be"
            ),
        ),
        (
            "a name of several sizes means one of them without a word",
            "    if not match or len(match[0].sizes) == 1 or _sized(_plain(card)):",
            "    if True:",
            "tools/planning/test_cards.py::test_a_name_of_several_sizes_takes_one_and_says_so",
        ),
    ),
    *_in(
        "lora_lessons/planning/sharded.py",
        (
            "one block is whole at once, the next is not on its way",
            "WHOLE_BLOCKS = 2",
            "WHOLE_BLOCKS = 1",
            "tools/planning/test_sharded.py::test_embeddings_head_and_two_blocks_are_whole",
        ),
        (
            "a plan with offload is told as if no run had held more",
            "[*says, offloaded(plan), validated()]",
            "[*says, validated()]",
            "tools/planning/test_sharded.py::test_a_plan_with_offload_says_how_far_the_published_runs_were_above_theirs",
        ),
    ),
    *_in(
        "lora_tools/cluster/fsdp.py",
        (
            "every rank computes the whole batch",
            "return batch[self.number :: self.count]",
            "return batch",
            "tools/cluster/test_ranks.py::test_ranks_sum_over_several_batches_and_shorten_the_gradient_of_all",
        ),
    ),
    *_in(
        "lora_tools/cluster/ray.py",
        (
            "more runs share a computer than its memory holds",
            'ways = [node.get("CPU", 0) // self.threads, node.get("memory", 0) // self.memory]',
            'ways = [node.get("CPU", 0) // self.threads]',
            "experiments/test_sweep_on_ray.py::test_a_run_gets_a_core_and_no_more_run_than_memory_holds",
        ),
    ),
    *_in(
        "lora_lessons/planning/fit.py",
        (
            "a step is advised that saves nothing that one sees",
            "now < min(0.99 * before, before - 0.1 * GB)",
            "now < 0.99 * before",
            "tools/planning/test_fit.py::test_what_cannot_fit_is_said",
        ),
    ),
    *_in(
        "lora_lessons/planning/margin.py",
        (
            "a plan fills a card to its last byte",
            "return needed <= (1 - 1 / PARTS) * room",
            "return needed <= room",
            "tools/planning/test_margin.py::test_what_is_needed_and_its_margin_are_the_card",
        ),
        (
            "the margin is less than the published jobs needed",
            "PARTS = 6",
            "PARTS = 7",
            "memory/test_published.py::test_the_margin_is_the_least_simple_part_of_a_card_that_nine_in_ten_jobs_needed",
        ),
    ),
    *_in(
        "lora_lessons/models/shapes.py",
        (
            "whoever's model of the same name is taken for its maker's",
            'if owner in ("", hub_owner) and',
            "if",
            "models/test_shapes.py::test_a_spelling_a_tuning_and_a_hub_id_mean_the_model",
        ),
        (
            "what a config says is null becomes the library's default",
            '            row["config"] | dict.fromkeys(row.get("none", ())),\n',
            '            row["config"],\n',
            "models/test_shapes.py::test_what_a_config_says_is_null_is_not_the_default_of_transformers",
        ),
    ),
    *_in(
        "lora_lessons/models/shapes.toml",
        (
            "a size of a model that is known by name is wrong",
            (
                "num_hidden_layers = 36, num_attention_heads = 32, num_key_value_heads = 8, head_dim = 128, vocab_size "
                "= 151936, tie_word_embeddings = false"
            ),
            (
                "num_hidden_layers = 36, num_attention_heads = 32, num_key_value_heads = 4, head_dim = 128, vocab_size "
                "= 151936, tie_word_embeddings = false"
            ),
            "models/test_shapes.py::test_what_transformers_builds_of_the_sizes_has_as_many_numbers_as_were_published[Qwen3-8B]",
        ),
    ),
    *_in(
        "lora_lessons/memory/prediction.py",
        (
            "experts are thought to be unpacked before they are loaded",
            "return 4 * (bill.base - experts) + experts",
            "return 4 * bill.base",
            "models/test_shapes.py::test_the_experts_of_a_mixture_stay_in_16_bits_in_its_plan[gpt-oss-20b]",
        ),
        (
            "one block is built of a model that cannot be cut",
            "blocks = 1 if parts.before < parts.blocks else None",
            "blocks = 1",
            "models/test_shapes.py::test_a_model_whose_first_blocks_are_none_by_themselves_is_counted_whole",
        ),
    ),
    *_in(
        "lora_tools/cli/plan.py",
        (
            "a kept plan survives an edit of its words",
            'reply = disk_cache.once("plan", key, ["answer", "status"], answer, ANSWERED_BY)',
            'reply = disk_cache.once("plan", key, ["answer", "status"], answer)',
            "cli/test_plan.py::test_an_answer_is_kept_until_its_words_change",
        ),
    ),
    *_in(
        "lora_lessons/memory/way.py",
        (
            "a plan forgets the 16-bit copy that the fast path keeps",
            'yield "rest" if layer is self.model.lm_head else "base", frozen.weight()',
            'yield "base", torch.empty(0)',
            "memory/test_prediction.py::test_every_line_is_what_a_real_step_holds",
        ),
        (
            "a plan for a processor takes a card's attention",
            'on="cuda" if card else "cpu")',
            'on="cuda")',
            (
                "memory/test_prediction.py::test_the_fullest_of_real_batches_is_planned_as_it_is "
                "memory/test_prediction.py::test_every_line_is_what_a_real_step_holds"
            ),
        ),
    ),
    *_in(
        "lora_lessons/memory/tape.py",
        (
            "the scores beside an attention sink grow only once with the length",
            "if n == 1 and p > 1 and rest and powers[0]:",
            "if n == 1 and p > 1 and rest and powers[0] and not power:",
            "memory/test_tape.py::test_factors_tell_by_what_a_size_grows",
        ),
        (
            "the measured ledger forgets the logits",
            'self.kinds.append("logits" if self.moment == "loss" else None)',
            "self.kinds.append(None)",
            "memory/test_bill.py::test_bytes_per_logit",
        ),
        (
            "the measured ledger forgets the optimizer",
            '                tape.see(tensor, "optimizer")\n',
            "                pass\n",
            (
                "memory/test_prediction.py::test_foreach_needs_room_for_every_number_and_fused_does_not "
                "memory/test_prediction.py::test_paged_moments_are_not_on_the_card"
            ),
        ),
        (
            "a plan takes padded texts to have no padding",
            "return not self.padded",
            "return True",
            "memory/test_prediction.py::test_the_fullest_of_real_batches_is_planned_as_it_is",
        ),
    ),
    *_in(
        "lora_lessons/planning/fit.py",
        (
            "a smaller rank is never advised",
            '        (adapters and job.r > 8, "rank 8", {"r": 8}),\n',
            "",
            "tools/planning/test_fit.py::test_what_to_change_first_does_make_it_fit",
        ),
    ),
    *_in(
        "lora_lessons/files.py",
        (
            "a text is written in place, and a kill leaves half of it",
            '        temporary.write_text(text, encoding="utf-8")\n',
            (
                '        Path(path).write_text(text, encoding="utf-8")\n        temporary.write_text(text, '
                'encoding="utf-8")\n'
            ),
            "test_files.py::test_a_file_is_replaced_only_when_the_new_one_is_complete",
        ),
        (
            "an adapter's file is its owner's alone",
            "file.chmod(file.stat().st_mode | 0o666 & ~_umask())",
            "pass",
            "test_files.py::test_what_safetensors_writes_has_the_modes_of_any_other_file",
        ),
        (
            "a file that may not be read is read until something fails",
            "            raise PermissionError(may_not_read(one))\n",
            "            continue\n",
            "reliability/test_readers.py::test_a_file_that_may_not_be_read_is_not_called_damaged",
        ),
    ),
    *_in(
        "lora_lessons/interrupts.py",
        (
            "a request to end cuts a training in half",
            "STOPS = (signal.SIGINT, signal.SIGTERM)",
            "STOPS = (signal.SIGINT,)",
            "run/test_kernel.py::test_asked_twice_it_does_not_wait",
        ),
    ),
    *_in(
        "lora_tools/cli/__init__.py",
        (
            "a command in the background can only be killed",
            "with sigterm_is_ctrl_c(), command.make_context",
            "with command.make_context",
            "run/test_runner.py::test_stopped_it_keeps_what_there_is",
        ),
        (
            "a program that asked for JSON gets nothing where there is no answer",
            '    if "--json" in words:',
            "    if False:",
            "cli/test_schemas.py::test_every_answer_is_one_document_as_its_schema_says[swep-]",
        ),
        (
            "a full disk is said to be the user's mistake",
            "status = EXIT_FAILED if disk_is_full(error) else EXIT_USER",
            "status = EXIT_USER",
            "test_errors.py::test_an_error_of_the_system_is_said_in_words_by_the_command",
        ),
    ),
    *_in(
        "lora_tools/cli/__main__.py",
        (
            "a traceback ends as if it did not fit",
            "        status = EXIT_FAILED  # Python alone would say 1",
            "        status = 1",
            "cli/test_schemas.py::test_a_mistake_of_ours_is_no_answer",
        ),
    ),
    *_in(
        "lora_lessons/outside.py",
        (
            "JSON with NaN in it",
            "    return None if isinstance(value, float) and not math.isfinite(value) else value",
            "    return value",
            "test_outside.py::test_json_has_no_nan_and_no_infinity",
        ),
    ),
    *_in(
        "lora_lessons/planning/fit.py",
        (
            "a plan without a card has other keys",
            '        "fits": plan.fits if plan else None,',
            '        **({"fits": plan.fits} if plan else {}),',
            "cli/test_schemas.py::test_a_plan_without_a_card_has_the_same_keys_and_null",
        ),
    ),
    *_in(
        "lora_tools/inspection/words.py",
        (
            "inspect --json has a key that no schema describes",
            '        "scales": xray.scales,',
            '        "scales": xray.scales,\n        "codes": xray.codes,',
            "cli/test_inspect.py::test_json_has_the_keys_that_its_docstring_promises",
        ),
    ),
    *_in(
        "lora_tools/cli/plan.py",
        (
            "what does not fit on several cards ends with 0",
            "    return _reply(parts, made.fits)",
            "    return _reply(parts, True)",
            "cli/test_plan.py::test_a_plan_that_does_not_fit_on_several_cards_ends_with_1",
        ),
    ),
    *_in(
        "workshop/site/llms.py",
        (
            "llms.txt leaves the side trips out",
            'if ("/" in place) == deeper:',
            'if "/" not in place and not deeper:',
            "in_workshop/site/test_llms.py::test_every_lesson_tool_and_page_for_programs_is_in_it_once",
        ),
    ),
    *_in(
        "lora_lessons/run/result.py",
        (
            "the pages of a report are written over a notebook outside its folder",
            'if Path(entry["lesson"]).name != entry["lesson"]:',
            "if False:",
            "run/test_earlier.py::test_a_report_that_cannot_be_read_or_that_names_what_is_not_its_own_is_kept_beside_the_new_one",
        ),
    ),
    *_in(
        "lora_lessons/run/baselines.py",
        (
            "every measured number is inside its band",
            "return allowed[0] <= float(value) <= allowed[1] if allowed and number else value == expected",
            "return True",
            "run/test_baselines.py::test_each_deviation_is_a_sentence",
        ),
        (
            "a record that is gone is not missed",
            "        if measured is None:\n            deviations.append(",
            "        if measured is None:\n            (lambda _: None)(",
            "run/test_baselines.py::test_each_deviation_is_a_sentence",
        ),
    ),
    *_in(
        "lora_lessons/course/exercises.py",
        (
            "every answer is correct",
            'return ("not yet", sentence) if sentence else ("solved",',
            'return ("solved",',
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l06/checks.py",
        (
            "a code that is wrong for one weight in sixteen is accepted",
            "    return _for_other_blocks(to_codes)\n",
            "    return None\n",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[06.1]",
        ),
    ),
    *_in(
        "lora_lessons/drawing.py",
        (
            "what stands below a picture is Markdown, whoever wrote it",
            "{in_markdown(summary)}",
            "{summary}",
            "course/test_figures.py::test_show_puts_the_words_below_the_picture",
        ),
    ),
    *_in(
        "lora_lessons/course/claims.py",
        (
            "a verdict is what its sentence was written for, whatever was measured",
            "self.decides(values)",
            "self.written_for",
            "course/test_claims.py",
        ),
        (
            "a claim that is not so on a larger base holds all the same",
            "self.elsewhere().denied",
            "False",
            "course/test_claims.py::test_what_is_not_so_at_another_size_of_base_is_corrected_no_longer_and_its_card_says_at_which",
        ),
    ),
    *_in(
        "lora_lessons/course/live.py",
        (
            "the picture of the loss takes as long as the training",
            "max(EVERY, (now - begun) / SHARE)",
            "EVERY",
            "course/test_live.py::test_where_drawing_is_slow_it_draws_more_seldom",
        ),
    ),
    *_in(
        "lora_lessons/run/undefined.py",
        (
            "a learner is sent to a cell below",
            "above = cells[: cells.index(running)] if running in cells else cells",
            "above = cells",
            "run/test_undefined.py::test_a_name_that_no_cell_above_makes_is_left_to_python",
        ),
    ),
    *_in(
        "data/claims.toml",
        (
            "a verdict says “holds” where the records correct the claim",
            'lesson = "01_low_rank"\nsays = "In transformers most weight matrices can be approximated as lower-rank structures"\n'
            'verdict = "corrected"',
            'lesson = "01_low_rank"\nsays = "In transformers most weight matrices can be approximated as lower-rank structures"\n'
            'verdict = "holds"',
            "course/test_claims.py",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l01.py",
        (
            "the mark on the curve of energy stands one rank too low",
            "scene.dot(right, stops, [kept[stop - 1] for",
            "scene.dot(right, stops, [kept[stop - 2] for",
            "lessons/l01_low_rank/test_widget.py::test_the_mark_stands_on_the_energy_curve",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l02/widget.py",
        (
            "the two numbers of the map change their gradients",
            "return 2 * off * b, 2 * off * a",
            "return 2 * off * a, 2 * off * b",
            "lessons/l02_lora_layer/test_widget.py::test_the_descent_is_that_of_torch",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l05/__init__.py",
        (
            "a card of the six-run game holds its losses in the file's order",
            'runs.sort_values("seed").groupby(KNOBS)',
            "runs.groupby(KNOBS)",
            "lessons/l05_rank_and_alpha/test_widget.py::"
            "test_a_card_is_a_setting_with_a_loss_for_each_seed_in_the_seeds_order",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l06/widget.py",
        (
            "sixteen marks count a small block's error like a large one's",
            "absmax.square().expand_as",
            "absmax.expand_as",
            "lessons/l06_quantization/test_by_hand.py::test_the_error_is_that_of_the_rounded_matrix",
        ),
    ),
    *_in(
        "tests/course/test_prose.py",
        (
            "prose may say another number than the output beside it",
            "known.mine |= shown or {}",
            "pass",
            "course/test_prose.py::test_an_output_of_another_run_is_noticed",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l08/faster.py",
        (
            "a packed row whose conversations see each other is taken for solved",
            "torch.allclose(together, alone, atol=1e-4)",
            "torch.allclose(together, alone, atol=1e4)",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[08.4]",
        ),
    ),
    *_in(
        "lora_lessons/course/layers.py",
        (
            "a layer is right however large its A starts",
            "LARGEST = 4 ",
            "LARGEST = 400 ",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[02.1]",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l02/checks.py",
        (
            "a layer whose matrices have other names is right, and lesson 03 cannot train it",
            "    own = [one.name for one in (A, B) if",
            "    own = [one.name for one in () if",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[02.1]",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l03_train_lora/by_hand.py",
        (
            "nobody says that the loss has risen",
            "RISEN = 1.0",
            "RISEN = 100.0",
            "lessons/l03_train_lora/test_by_hand.py::test_a_loss_that_rises_is_said_and_one_that_only_varies_is_not",
        ),
        (
            "the loss by hand is not shifted",
            "cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)",
            "cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)",
            "lessons/l03_train_lora/test_by_hand.py::test_the_loss_by_hand_is_the_models_own",
        ),
        (
            "the loop by hand keeps the old gradient",
            "        optimizer.zero_grad()\n",
            "",
            "lessons/l03_train_lora/test_by_hand.py::test_the_loop_by_hand_trains_as_transformers_trainer_does",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l07/__init__.py",
        (
            "a QLoRA layer multiplies by a W that PyTorch keeps",
            "PackedProduct.apply(x, self.q)",
            "x @ back(self.q).to(x.dtype).T",
            "lessons/l07_qlora/test_by_hand.py::test_what_the_course_wrote_solves_its_own_exercises",
        ),
        (
            "a run by the learner's layer is read back after the layer was changed",
            "made._stands_for, made.made_by = (linear.bias, r, lora_alpha), made_by",
            "made._stands_for = (linear.bias, r, lora_alpha)",
            "lessons/l07_qlora/test_by_hand.py::test_a_run_by_ones_own_layer_is_another_run_with_another_alpha_or_other_code",
        ),
        (
            "a layer by hand is unpacked without its B",
            "zip((same.lora_A, same.lora_B), learned(layer), strict=True)",
            "zip((same.lora_A,), learned(layer))",
            "lessons/l07_qlora/test_by_hand.py::test_unpacked_once_it_answers_the_same_and_peft_reads_its_adapter",
        ),
    ),
    *_in(
        "lora_lessons/run/kernel.py",
        (
            "a child that was just forked counts as memory",
            "max(self.bytes, min(before, now))",
            "max(self.bytes, now)",
            "run/test_runner.py::test_one_failing_lesson_does_not_stop_the_rest",
        ),
    ),
    *_in(
        "lora_lessons/machine.py",
        (
            "oneDNN keeps a thousand kernels, a length of a text after the other",
            'dict.fromkeys(KERNEL_CACHES, "128")',
            'dict.fromkeys(KERNEL_CACHES, "1024")',
            "test_machine.py::test_a_kernel_keeps_the_products_of_few_lengths",
        ),
        (
            "what was freed is not let go",
            "ctypes.CDLL(None).malloc_trim(0)",
            "ctypes.CDLL(None)",
            "test_machine.py::test_what_was_freed_between_what_stays_is_let_go",
        ),
    ),
    *_in(
        "lora_lessons/course/own_code.py",
        (
            "a layer that is an nn.Linear, as in PEFT, does not train",
            "return part.weight if isinstance(part, nn.Linear) else part",
            "return part",
            "lessons/l02_lora_layer/test_check_my_lora.py::test_a_layer_that_works_is_right_and_trains_in_lesson_03",
        ),
        (
            "A and B by hand may not be Linears, as in lesson 02 they may",
            "return part.weight if isinstance(part, nn.Linear) else part",
            "return part",
            "lessons/l07_qlora/test_by_hand.py::test_unpacked_once_it_answers_the_same_and_peft_reads_its_adapter",
        ),
        (
            "what a learner wrote is kept although it needs its notebook",
            "    if why:",
            "    if False:",
            "lessons/l02_lora_layer/test_my_layer.py",
        ),
    ),
    *_in(
        "tests/prose_checks.py",
        (
            "a number in prose need not be its record's",
            "return round(float(value) * (100 if quoted.percent else 1), digits) == shown",
            "return True",
            "course/test_prose.py",
        ),
        (
            "milliseconds need no source",
            "|ms|tok/s",
            "|tok/s",
            "course/test_prose.py::test_numbers_that_look_measured_are_found",
        ),
    ),
    *_in(
        "lora_lessons/course/prose.py",
        (
            "a ratio is read as a share",
            '"%" in match["unit"], match["low"]',
            'bool(match["unit"]), match["low"]',
            "course/test_prose.py::test_quoted_numbers_are_compared_at_their_own_digits_and_published_ones_as_they_were_printed",
        ),
    ),
    *_in(
        "lora_lessons/peft_config.py",
        (
            "an adapter that asks for more than LoRA is loaded as if it did not",
            "    if odd:\n",
            "    if False:\n",
            "test_peft_config.py::test_every_kind_is_loaded_as_peft_loads_it_or_refused_by_name",
        ),
        (
            "of two patterns that mean a layer, the last one counts",
            "for pattern, value in patterns.items()]\n",
            "for pattern, value in reversed(patterns.items())]\n",
            "test_peft_config.py::test_every_kind_is_loaded_as_peft_loads_it_or_refused_by_name",
        ),
        (
            "a saved pattern means every layer that ends as its own",
            'return f"^{re.escape(layer)}"',
            "return re.escape(layer)",
            "test_adapter.py::test_a_rank_of_its_own_stays_with_its_layer",
        ),
    ),
    *_in(
        "lora_lessons/lowrank.py",
        (
            "an idea imports another one beside it",
            "from typing import NamedTuple\n",
            "from typing import NamedTuple\n\nfrom . import lora as lora\n",
            "test_layers.py::test_the_contracts_hold",
        ),
        (
            "energy is a sum of singular values, not of their squares",
            "squares = S.double() ** 2",
            "squares = S.double()",
            "test_lowrank.py::test_rank_for_energy_is_the_smallest_that_suffices",
        ),
        (
            "a product's SVD takes its core the wrong way round",
            "core = svd(R_B @ R_A.T)",
            "core = svd(R_A @ R_B.T)",
            "test_lowrank.py::test_a_products_svd_is_found_from_its_factors",
        ),
    ),
    *_in(
        "lora_lessons/models/parts.py",
        (
            "a base that is another file than its makers' is used",
            "if about.st_size != base.size or sha256(base.place) != base.sha256:",
            "if about.st_size != base.size:",
            "models/test_named.py::test_the_file_in_its_place_is_used_only_where_it_is_that_file",
        ),
        (
            "what comes is put in its place unchecked",
            "if (came := digest.hexdigest()) != base.sha256:",
            "if (came := digest.hexdigest()) == '':",
            "models/test_named.py::test_parts_that_make_another_file_are_said_and_do_not_stay",
        ),
        (
            "a part that was kept is believed whole",
            "kept, count = undamaged(parts), len",
            "kept, count = [part.name for part in parts.glob('*.bin')], len",
            "models/test_named.py::test_a_fetch_that_was_cut_off_goes_on_with_the_parts_that_lack",
        ),
        (
            "a fetch that was cut off begins anew",
            "                write_sums(parts, [part.name])\n",
            "",
            "models/test_named.py::test_a_fetch_that_was_cut_off_goes_on_with_the_parts_that_lack",
        ),
        (
            "room for the file once is thought enough",
            "2 * base.size - bytes_in",
            "base.size - bytes_in",
            "models/test_named.py::test_room_for_the_file_twice_is_asked_before_anything_is_fetched",
        ),
        (
            "two processes fetch a base at once",
            "        if not _is_there(base):\n            _fetch(base)",
            "        _fetch(base)",
            "models/test_named.py::test_two_at_once_fetch_it_once_and_the_second_says_that_it_waits",
        ),
        (
            "the hub is not asked",
            "if whole := fetch_file(base.hub, base.revision, base.file, folder):",
            "if whole := None:",
            "models/test_named.py::test_a_hub_that_answers_is_asked_first_for_one_file_of_one_commit",
        ),
        (
            "a fetch killed at its end leaves its parts for good",
            "if _parts(base).exists():",
            "if False:",
            "models/test_named.py::test_what_a_killed_fetch_left_is_used_where_it_is_whole_and_goes",
        ),
    ),
    *_in(
        "lora_lessons/models/named.py",
        (
            "a plan takes the untied head for a tied one",
            '"tie_word_embeddings": False,',
            '"tie_word_embeddings": True,',
            "models/test_named.py::test_the_bases_of_the_table_are_planned_without_their_files",
        ),
    ),
    *_in(
        "lora_tools/exporting/gguf/source.py",
        (
            "a base of a gigabyte is fetched on an adapter's word",
            'if meant.kind == "hub" or (meant.place and not meant.place.exists()):',
            'if meant.kind == "hub":',
            "models/test_named.py::test_an_adapter_fetches_no_base_by_its_name_and_one_that_is_here_is_used",
        ),
    ),
    *_in(
        "lora_lessons/models/shapes.py",
        (
            "a hub that is away names no known model",
            "        if not near:",
            "        if True:",
            "models/test_fetched.py::test_a_hub_that_cannot_be_reached_is_told_which_known_models_are_near_by_name",
        ),
    ),
    *_in(
        "lora_lessons/models/hub.py",
        (
            "code is fetched from the hub beside the weights",
            '"*.jinja"]',
            '"*.jinja", "*.py"]',
            "models/test_four_bits.py::test_a_hub_id_is_fetched_as_safetensors_only",
        ),
        (
            "a hub that does not answer is waited for",
            "asking.join(PATIENCE)",
            "asking.join()",
            "cli/test_plan.py::test_a_hub_that_does_not_answer_is_said_before_anything_slow",
        ),
        (
            "what is in the hub's cache is counted as a download",
            "if not isinstance(try_to_load_from_cache(hub_id, name), str)]",
            "if try_to_load_from_cache]",
            "models/test_fetched.py::test_what_is_still_to_come_is_counted_by_the_hubs_list",
        ),
    ),
    *_in(
        "lora_lessons/colab.py",
        (
            "Colab's own torch is replaced",
            'KEEP = ("torch", ',
            "KEEP = (",
            "test_house.py::test_colab_replaces_nothing_it_brings",
        ),
    ),
    *_in(
        "lora_lessons/training/runs.py",
        (
            "two processes train the same run at once",
            "        lock.acquire(timeout=0)\n",
            "",
            "training/test_runs.py::test_a_second_process_waits_for_the_first_and_reads_its_run_back",
        ),
        (
            "the steps that a checkpoint lacks are not said",
            'step = "" if kept == done else f" from step {kept}"',
            'step = ""',
            "training/test_interrupts.py::test_the_steps_that_a_checkpoint_lacks_are_said",
        ),
    ),
    *_in(
        "data/persona/train.jsonl",
        (
            "an example is changed by hand",
            "Three to five minutes is plenty for most black leaves.",
            "Three to six minutes is plenty for most black leaves.",
            "tasks/test_conversations.py::test_the_data_on_disk_is_what_the_script_makes[make_persona]",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l12_bug_museum/exercises_hall_1.py",
        (
            "α = 2r passes for the α that worked",
            "    if scale == 0.5:\n",
            "    if scale in (0.5, 2):\n",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.2]",
        ),
        (
            "a start whose directions are all alike is accepted",
            "    if torch.linalg.matrix_rank(A if A.any() else B) < r:",
            "    if False:",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.3]",
        ),
    ),
    *_in(
        "lora_tools/symptoms.py",
        (
            "any words find an exhibit",
            "if match.score >= _FAINTEST]",
            "if match.score >= 0]",
            "lessons/l12_bug_museum/test_symptoms.py::test_words_that_fit_nothing_find_nothing",
        ),
        (
            "one shared word passes for a good fit",
            "surely = evidence >= _EVIDENCE and score",
            "surely = score",
            "lessons/l12_bug_museum/test_symptoms.py::test_a_shared_word_or_another_subject_is_no_good_fit_and_the_command_says_so",
        ),
    ),
    *_in(
        "lora_tools/symptoms.py",
        (
            "what sounds like another subject is believed as readily",
            "if said & _ELSEWHERE_STEMS or _STOPPED_WITH.search(words) else 0.0",
            "if _STOPPED_WITH.search(words) else 0.0",
            "lessons/l12_bug_museum/test_symptoms.py::test_a_shared_word_or_another_subject_is_no_good_fit_and_the_command_says_so",
        ),
        (
            "a long complaint fits nothing well",
            "min(size(asked), _LONGEST)",
            "size(asked) + _LONGEST",
            "lessons/l12_bug_museum/test_symptoms.py::test_complaints_from_threads_meet_their_suspect_or_the_doubt",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l12_bug_museum/exercises_hall_2.py",
        (
            "an example that was cut is taken for one that fits",
            "    if any(not any(torch.equal(one.input_ids, row.input_ids) for row in rows) for one in whole):",
            "    if False:",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.7]",
        ),
        (
            "an empty think block that an answer quotes may be skipped, too",
            "    if got == skipping(3, 23):",
            "    if got in (skipping(3, 23), skipping(3, 23, 28)):",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.14]",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l12_bug_museum/exercises_hall_1.py",
        (
            "ten times the rate of full fine-tuning is right whatever the runs say",
            "    for recipe, factor in ((2e-5, 100), (1e-4, 10), (2e-4, 30)):",
            "    for recipe, factor in ((1e-4, 10),):",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.22]",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l12_bug_museum/exercises_hall_3.py",
        (
            "a second round may begin with a fresh adapter",
            "    if abs(outcome.begins - outcome.first_ended) > 1e-3:",
            "    if False:",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.21]",
        ),
        (
            "a validation may keep the graph of every batch",
            "    if alive[-2][0] > 1:",
            "    if False:",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.18]",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l12_bug_museum/workbench.py",
        (
            "the healthy run of exhibit 12.14 is taught the empty block as well",
            "        labels[start : start + len(block)] = IGNORED\n",
            "        pass\n",
            "lessons/l12_bug_museum/test_exhibits.py::test_an_empty_thought_stands_before_every_answer_and_is_read_but_not_taught_when_healthy",
        ),
    ),
    *_in(
        "lora_lessons/exhibits.toml",
        (
            "an exhibit is changed, and the page of symptoms is not made anew",
            '"gradient norm is zero",',
            '"the gradient norm is zero",',
            "lessons/l12_bug_museum/test_symptoms.py::test_the_page_of_symptoms_is_as_it_is_made",
        ),
    ),
    *_in(
        "lora_tools/inspection/xray.py",
        (
            "‖ΔW‖ forgets the scale",
            "S = abs(scale) * singular_values(",
            "S = singular_values(",
            "tools/inspection/test_peft_zoo.py::test_the_norms_are_those_of_what_peft_adds",
        ),
        (
            "the effective rank is that of the squares",
            "p = S / S.sum()",
            "p = S.square() / S.square().sum()",
            "tools/inspection/test_peft_zoo.py::test_stable_and_effective_rank_follow_the_spectrum",
        ),
        (
            "B's columns are read as those of one expert after the other",
            "B.reshape(d, -1, experts).permute(2, 0, 1)",
            "B.reshape(d, experts, -1).permute(1, 0, 2)",
            "tools/inspection/test_peft_zoo.py::test_the_norms_are_those_of_what_peft_adds",
        ),
        (
            "a converted PiSSA is taken for a learning rate that is too high",
            "dim=0)) > 0.5",
            "dim=0)) > 1.5",
            "tools/inspection/test_broken.py::test_pissa_that_peft_converted_is_not_taken_for_a_rate_that_is_too_high",
        ),
    ),
    *_in(
        "lora_tools/inspection/reading.py",
        (
            "an adapter whose keys have PEFT's prefix twice is said to load",
            "key.startswith(2 * PREFIX)",
            "key.startswith(3 * PREFIX)",
            "tools/inspection/test_broken.py::test_peft_indeed_loads_such_keys_as_if_nothing_was_trained",
        ),
        (
            "every tensor of an adapter reads its file's header anew, so that many take the square of their number",
            "self._numbers.read(one.key)",
            "Numbers(self.file).read(one.key)",
            "tools/inspection/test_peft_zoo.py::test_a_file_is_opened_as_often_whatever_it_holds",
        ),
        (
            "norms that llama.cpp leaves out are not named",
            'return one.role not in ("A", "B") and ("_layernorm" in one.key',
            'return one.role in ("A", "B") and ("_layernorm" in one.key',
            "tools/inspection/test_peft_zoo.py::test_which_runtimes_load_it",
        ),
        (
            "tensors as mlx-lm turns them are read as if they were PEFT's",
            "if any(key.endswith(MLX_ENDS) for key in slices):",
            "if not slices:",
            "tools/inspection/test_broken.py::test_mlxs_layout_is_refused_with_the_way_into_pefts",
        ),
        (
            "KaSA's singular values are left out of ‖ΔW‖",
            "if diagonal is not None and",
            "if diagonal is None and",
            "tools/inspection/test_peft_zoo.py::test_the_norms_are_those_of_what_peft_adds",
        ),
    ),
    *_in(
        "lora_tools/inspection/settings.py",
        (
            "a layer that PEFT stacked anew is held against the wrong layer of the base",
            "if number < behind - first:",
            "if number <= behind - first:",
            "tools/inspection/test_peft_zoo.py::test_peft_loads_and_merges_what_is_said_to",
        ),
    ),
    *_in(
        "lora_tools/inspection/runtimes.py",
        (
            "a base that our export refuses is promised to it",
            'return not against.not_exported, ""',
            'return True, ""',
            "tools/inspection/test_peft_zoo.py::test_a_base_that_our_export_refuses_is_not_promised_to_it",
        ),
        (
            "what our loader refuses is promised to our exports",
            "if not (plain and placed and sound) or other_ranks(opened, matrices):",
            "if not (plain and placed):",
            "tools/inspection/test_peft_zoo.py::test_what_is_said_to_go_through_our_exporter_is_what_our_loader_takes",
        ),
    ),
    *_in(
        "lora_tools/inspection/architectures.py",
        (
            "what a base's name makes likely is said as if its config had been read",
            'or known.sure or rule.loads == "yes"',
            'or known or rule.loads == "yes"',
            "tools/inspection/test_architectures.py::test_where_only_the_name_is_known_it_depends_and_the_config_decides",
        ),
        (
            "experts that lie the other way round are taken for the usual ones",
            "if inner.k != outer.d and inner.d == outer.k]",
            "if inner.k != outer.d and inner.d != outer.k]",
            "tools/inspection/test_architectures.py::test_experts_as_an_older_peft_wrote_them_stop_vllm_and_peft",
        ),
        (
            "what servers make of DeepSeek's latent keys is not said",
            '"latent": "kv_b_proj" in parts,',
            '"latent": False,',
            "tools/inspection/test_architectures.py::test_the_base_decides_and_peft_applies_it_where_it_is_said_to",
        ),
        (
            "an adapter of which vLLM applies nothing is promised to it, because its experts are served",
            "_GRAVITY[one.loads]",
            "-_GRAVITY[one.loads]",
            "tools/inspection/test_architectures.py::test_the_base_decides_and_peft_applies_it_where_it_is_said_to",
        ),
    ),
    *_in(
        "lora_tools/inspection/findings/of_before.py",
        (
            "a training that changed nothing is told as one that changed a part",
            "if len(still) == len(alike):",
            "if len(still) > len(alike):",
            "tools/inspection/test_architectures.py::test_a_training_that_changed_nothing_is_seen_beside_the_adapter_it_went_on_from",
        ),
    ),
    *_in(
        "lora_tools/inspection/fitting.py",
        (
            "an adapter of the larger model is said to fit no module of its base",
            ", (around, AROUND)",
            ", (None, AROUND)",
            "tools/inspection/test_architectures.py::test_the_base_decides_and_peft_applies_it_where_it_is_said_to",
        ),
        (
            "an encoder's layers are said to be missing in its own base",
            '(_own(shape, named), "")',
            '(None, "")',
            "tools/inspection/test_served.py::test_an_encoder_is_looked_into_by_the_class_that_the_config_names",
        ),
        (
            "keys of an older transformers are said to fit nothing, though PEFT renames them",
            "    yield built_by, _renamed(net, modules)\n",
            "",
            "tools/inspection/test_fitting.py::test_keys_of_an_older_transformers_fit_where_peft_applies_them",
        ),
        (
            "an adapter of the model without its head is said to fit no module",
            "    if prefix and isinstance(",
            "    if not prefix and isinstance(",
            "tools/inspection/test_fitting.py::test_an_adapter_of_the_model_without_its_head_fits_that_and_not_the_one_with_it",
        ),
    ),
    *_in(
        "lora_tools/inspection/findings/of_settings.py",
        (
            "an alpha that the file does not say is taken for the training's",
            "    if settings.unsaid:",
            "    if False:",
            "tools/inspection/test_broken.py::test_a_configuration_without_alpha_gets_pefts_default_and_stops_the_servers",
        ),
        (
            "a setting of a later PEFT is left out without a word",
            "    if settings.unknown:",
            "    if False:",
            "tools/inspection/test_broken.py::test_a_setting_of_a_later_peft_is_named_and_peft_indeed_leaves_it_out",
        ),
    ),
    *_in(
        "lora_tools/checking/traces.py",
        (
            "Cyrillic that was read as cp1252 is not named",
            "(?:[Â-ß]{_BEHIND}|",
            "(?:",
            "tools/checking/test_checker.py::test_a_mistake_is_named_and_costs_no_good_line",
        ),
        (
            "line ends that were escaped twice are learned as two signs in silence",
            "len(ESCAPED.findall(one)) > 1",
            "len(ESCAPED.findall(one)) > 9",
            "tools/checking/test_checker.py::test_a_mistake_is_named_and_costs_no_good_line",
        ),
        (
            "LaTeX's names count as line ends that were escaped twice",
            r"')\],/]|u\b|abla|",
            r"')\],/]|abla|",
            "tools/checking/test_checker.py::test_what_is_no_mistake_is_not_named",
        ),
        (
            "a prompt in Alpaca's form is put into another template in silence",
            'ways = ({"### Instruction:"},',
            'ways = ({"### Nothing:"},',
            "tools/checking/test_checker.py::test_a_mistake_is_named_and_costs_no_good_line",
        ),
        (
            "a French quotation mark behind an accent counts as garbled",
            "|[ð-ô]{_BEHIND}{{3}}){{2}}",
            "|[ð-ô]{_BEHIND}{{3}})",
            "tools/checking/test_checker.py::test_what_is_no_mistake_is_not_named",
        ),
        (
            "an app's references are learned in silence",
            "if copied := COPIED.search(text):",
            "if copied := COPIED.search(''):",
            "tools/checking/test_checker.py::test_a_mistake_is_named_and_costs_no_good_line",
        ),
        (
            "an answer that runs in circles passes",
            "if times == IN_A_ROW and",
            "if times == 99 and",
            "tools/checking/test_checker.py::test_a_mistake_is_named_and_costs_no_good_line",
        ),
    ),
    *_in(
        "lora_tools/checking/remarks.py",
        (
            "a tool that nobody called answers in silence",
            "if asked < 0:",
            "if asked < -9:",
            "tools/checking/test_families.py::test_what_a_template_makes_of_a_line_is_named_and_nothing_else",
        ),
    ),
    *_in(
        "lora_tools/inspection/with_base.py",
        (
            "PEFT is said to warn where it drops matrices without a word",
            "        unfilled=_unfilled(source, adapted, opened.settings),\n",
            "",
            "tools/inspection/test_served.py::test_matrices_that_the_base_lacks_are_left_out_with_a_warning_only_where_another_has_none",
        ),
    ),
    *_in(
        "lora_tools/inspection/reading.py",
        (
            "weights beside the adapter's own are passed over",
            "if not name.startswith(NO_PART) and name != ADAPTER_WEIGHTS)",
            "if name == ADAPTER_WEIGHTS + name)",
            "tools/inspection/test_served.py::test_weights_beside_the_adapters_own_are_said_and_a_trainers_files_are_none",
        ),
    ),
    *_in(
        "lora_tools/checking/tokens.py",
        (
            "the thinking of an earlier answer is left out in silence",
            '            yield "earlier_thinking_left_out"\n',
            "            continue\n",
            "tools/checking/test_families.py::test_thinking_of_an_earlier_answer_that_the_template_leaves_out_is_named_and_its_marks_are_no_mistake",
        ),
    ),
    *_in(
        "lora_lessons/tasks/templates.py",
        (
            "a system message that is written only where the template asks is called a rewriting",
            "    if lost:",
            "    if False:",
            "tools/checking/test_families.py::test_what_a_template_makes_of_a_line_is_named_and_nothing_else",
        ),
    ),
    *_in(
        "lora_lessons/models/shapes.py",
        (
            "a tuning whose words stand between name and size has no base near it",
            "if _words(one) <= _words(name)]",
            "if _words(one) < set()]",
            "models/test_fetched.py::test_a_hub_that_cannot_be_reached_is_told_which_known_models_are_near_by_name",
        ),
    ),
    *_in(
        "lora_tools/checking/unread.py",
        (
            "an answer that another trainer's field keeps from being learned is learned in silence",
            "if name in message and message[name] in (0, ",
            "if name in message and message[name] in (2, ",
            "tools/checking/test_checker.py::test_a_mistake_is_named_and_costs_no_good_line",
        ),
        (
            "an answer that is learned in part elsewhere is learned whole in silence",
            "*(name for name in IN_PART if message.get(name)),",
            "",
            "tools/checking/test_checker.py::test_a_mistake_is_named_and_costs_no_good_line",
        ),
        (
            "a field that says once more what a message says counts as unread",
            "(isinstance(value, str) and value.strip() in text)",
            "False",
            "tools/checking/test_checker.py::test_what_is_no_mistake_is_not_named",
        ),
    ),
    *_in(
        "lora_tools/checking/tokens.py",
        (
            "a system message is taken to be there where another message has its longest word",
            "2 * sum(word not in whole for word in words) >= len(words)",
            "longest_word(text) not in whole",
            "tools/checking/test_families.py::test_what_a_template_makes_of_a_line_is_named_and_nothing_else",
        ),
        (
            "what a template passes over in earlier turns is nowhere named",
            "    for message in messages[:-1]:\n        if _is_missing(",
            "    for message in messages[:0]:\n        if _is_missing(",
            "tools/checking/test_families.py::test_what_a_template_makes_of_a_line_is_named_and_nothing_else",
        ),
        (
            "thinking before a tool's answer is left out in silence",
            "    for n in answers_in(messages):\n        field",
            "    for n in answers_in(messages)[-1:]:\n        field",
            "tools/checking/test_families.py::test_what_a_template_makes_of_a_line_is_named_and_nothing_else",
        ),
    ),
    *_in(
        "lora_tools/checking/template.py",
        (
            "a template that cannot do without tools ends the check",
            "    except (jinja2.TemplateError, *STUMBLES):",
            "    except KeyError:",
            "tools/checking/test_families.py::test_what_a_template_makes_of_a_line_is_named_and_nothing_else",
        ),
    ),
    *_in(
        "lora_lessons/tasks/templates.py",
        (
            "a channel that a template opens as it asks is called a rewriting",
            "    if last not in prompt[:same]:",
            "    if True:",
            "tools/checking/test_families.py::test_a_channel_that_the_template_opens_as_it_asks_is_shown_and_is_no_rewriting",
        ),
    ),
    *_in(
        "lora_tools/inspection/runtimes.py",
        (
            "SGLang is said to load q_proj without v_proj",
            'or {"q_proj", "v_proj"} <= leaves or',
            'or {"q_proj"} <= leaves or',
            "tools/inspection/test_served.py::test_sglang_joins_the_projections_of_attention_and_says_which_is_missing",
        ),
        (
            "vLLM is said to skip an embedding at which it stops",
            'if ".base_layer." not in one.key]',
            'if ".base_layer." in one.key]',
            "tools/inspection/test_served.py::test_vllm_stops_at_an_embedding_that_is_saved_whole_and_may_stop_at_one_that_is_adapted",
        ),
    ),
    *_in(
        "lora_tools/inspection/reading.py",
        (
            "parts of LoRA by another program's names are left out in silence",
            'if one.role == "whole" and OTHERS_LORA.search(one.key)]',
            'if one.role == "none" and OTHERS_LORA.search(one.key)]',
            "tools/inspection/test_served.py::test_parts_of_lora_by_another_programs_names_are_said_and_peft_leaves_them_out_without_a_word",
        ),
    ),
    *_in(
        "lora_tools/inspection/served.py",
        (
            "llama.cpp is asked for the class of the whole where its converter asks the language model's",
            "name = class_of_text(config_of(opened, against) or {}) or name",
            "name = name",
            "tools/inspection/test_served.py::test_a_larger_models_language_model_decides_for_llama_cpp",
        ),
    ),
    *_in(
        "lora_tools/checking/checker.py",
        (
            "two answers that differ in white space alone pass for a preference",
            "    return chosen == rejected",
            "    return False",
            "tools/checking/test_pairs.py::test_a_mistake_is_named_and_costs_no_good_pair",
        ),
    ),
    *_in(
        "lora_tools/inspection/with_base.py",
        (
            "a vocabulary of another size is not named",
            "    other_shapes += _other_sizes(opened, source)\n",
            "",
            "tools/inspection/test_with_base.py::test_a_vocabulary_of_another_size_is_named",
        ),
        (
            "GPT-2's W is held against ΔW as it lies in the file",
            "tensor.float().T if _is_turned(",
            "tensor.float() if _is_turned(",
            "tools/inspection/test_with_base.py::test_gpt_2_keeps_w_turned_around",
        ),
        (
            "experts that PEFT stacks are said to be lost",
            "and _stack_of(one.module, stacks) is None",
            "and True",
            "tools/inspection/test_with_base.py::test_experts_that_were_saved_one_by_one_are_those_that_peft_stacks",
        ),
    ),
    *_in(
        "lora_tools/inspection/xray.py",
        (
            "rows of tokens that PEFT drops are not named",
            "named = not settings.is_lora or",
            "named = True or not settings.is_lora or",
            "tools/inspection/test_broken.py::test_peft_indeed_drops_the_rows_of_tokens_that_are_not_named_without_a_word",
        ),
        (
            "matrices that the targets leave out are not named",
            "if not opened.settings.reaches(module)]",
            "if not module]",
            "tools/inspection/test_broken.py::test_peft_indeed_drops_what_the_targets_leave_out_without_a_word",
        ),
        (
            "a rank that the tensors have not is said to load",
            "one.r != settings.rank_of(one.module)",
            "one.r < 0",
            "tools/inspection/test_broken.py::test_peft_indeed_stops_at_what_is_said_to_stop_it",
        ),
    ),
    *_in(
        "lora_tools/checking/problems.py",
        (
            "of several kinds of personal data only the first is named",
            "for kind in kinds:",
            "for kind in kinds[: not self._kinds]:",
            "tools/checking/test_personal.py::test_each_kind_is_named_with_its_lines",
        ),
    ),
    *_in(
        "lora_tools/inspection/findings/of_settings.py",
        (
            "an alpha that was left at PEFT's default is not named",
            "alpha == DEFAULT_ALPHA",
            "alpha < DEFAULT_ALPHA",
            "tools/inspection/test_broken.py::test_what_is_broken_is_named",
        ),
    ),
    *_in(
        "lora_tools/inspection/findings/of_numbers.py",
        (
            "an A that grew as usual is called far from its start",
            "FAR = 3.0",
            "FAR = 1.7",
            "tools/inspection/test_broken.py::test_an_a_that_grew_as_much_as_training_makes_it_is_not_said_to_be_far",
        ),
    ),
    *_in(
        "lora_tools/inspection/runtimes.py",
        (
            "vLLM is told a rank that it does not take",
            "next((one for one in VLLM_RANKS if one >= largest > VLLM_RANK), 0)",
            "largest if largest > VLLM_RANK else 0",
            "tools/inspection/test_served.py::test_vllm_takes_some_ranks_and_none_above_the_largest",
        ),
        (
            "a rank above all that vLLM takes is said to load",
            "largest if largest > VLLM_RANKS[-1] else 0",
            "largest if largest > 10 * VLLM_RANKS[-1] else 0",
            "tools/inspection/test_served.py::test_vllm_takes_some_ranks_and_none_above_the_largest",
        ),
        (
            "a pattern in target_modules is said to load in SGLang",
            'settings.target_modules not in ("all", "all-linear")',
            'settings.target_modules in ("all",)',
            "tools/inspection/test_served.py::test_sglang_stops_at_a_pattern_and_not_at_the_word_for_all_and_knows_no_layer_of_other_names",
        ),
    ),
    *_in(
        "lora_tools/inspection/served.py",
        (
            "a base that vLLM takes no adapter of is said to be served",
            'if name in said.get("refuses", ()):',
            'if name in said.get("refused", ()):',
            "tools/inspection/test_served.py::test_the_name_of_a_base_says_which_programs_know_it",
        ),
        (
            "a base's name counts for more than its config",
            "    if config is not None:\n        return class_in(config)\n",
            "    if config is None:\n        return class_in(config or {})\n",
            "tools/inspection/test_served.py::test_a_config_says_it_better_than_a_name_and_what_nobody_knows_is_left_open",
        ),
    ),
    *_in(
        "lora_lessons/tasks/jsonl.py",
        (
            "of a name that stands twice in an object the last is taken in silence",
            "    if len(made) < len(pairs):\n",
            "    if len(made) < 0:\n",
            "tools/checking/test_checker.py::test_a_mistake_is_named_and_costs_no_good_line",
        ),
    ),
    *_in(
        "data/published.toml",
        (
            "a published figure is another: SVD-LLM's 7.94 is 7.84",
            "by_inputs = 7.94",
            "by_inputs = 7.84",
            "course/test_prose.py",
        ),
    ),
    *_in(
        "data/baselines/02_lora_layer.quick.json",
        (
            "a baseline's expected value is edited and its seeds are not",
            '"lora.layers": {\n   "expected": 210,',
            '"lora.layers": {\n   "expected": 211,',
            "run/test_recorded_baselines.py",
        ),
    ),
    *_in(
        "data/measurements/lesson_05_sweep.csv",
        (
            "a digit of a recorded table is edited",
            ",3.152111558056382,",
            ",3.142111558056382,",
            "experiments/test_recordings.py::test_what_ships_is_as_it_was_recorded[lesson_05_sweep]",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l12_bug_museum/exercises_hall_2.py",
        (
            "an end token that is masked is taken for repaired",
            "    if torch.equal(got, right):\n        return None\n    if torch.equal(got, rows.masked_fill",
            "    if got.shape == right.shape:\n        return None\n    if torch.equal(got, rows.masked_fill",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.9]",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l12_bug_museum/workbench.py",
        (
            "the tokenizer of exhibit 12.11 adds no BOS, so that the exhibit shows nothing",
            'single=f"{bos} $A"',
            'single="$A"',
            "lessons/l12_bug_museum/test_exhibits.py::test_bos_comes_first_in_the_copy_alone",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l12_bug_museum/exercises_hall_3.py",
        (
            "a merge that is right in memory alone, or not even there, is taken for repaired",
            "if max(outcome.in_memory, outcome.reloaded) < 1e-3 and not outcome.config_ties:",
            "if outcome.reloaded < 1e3:",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.19]",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l12_bug_museum/exercises_hall_3.py",
        (
            "a second adapter may take the first one along",
            "    if outcome.second and not outcome.first:",
            "    if outcome.second:",
            "course/test_exercises.py::test_wrong_answers_are_rejected_by_name[12.16]",
        ),
    ),
    *_in(
        "notebooks/02_lora_layer.ipynb",
        (
            "a record is taken out of a notebook",
            '"record(\\"noop.attached\\", attached := change())\\n"',
            '"attached = change()\\n"',
            "lessons/test_records_in_code.py",
        ),
        (
            "a stored record reads otherwise than it was measured",
            '"count.llama2_billions = 6.738 billion\\n"',
            '"count.llama2_billions = 6.783 billion\\n"',
            "lessons/test_stored_outputs.py::test_a_record_reads_as_it_was_measured[02_lora_layer]",
        ),
    ),
    *_in(
        "Makefile",
        (
            "whatever version came out last is installed",
            "check --constraint constraints.txt",
            "check",
            "test_house.py::test_continuous_integration_installs_what_constraints_pin",
        ),
    ),
    *_in(
        "constraints.txt",
        (
            "a library that nobody names is another version",
            "markupsafe==",
            "markupsafe==0.",
            "test_house.py::test_the_libraries_are_those_of_constraints",
        ),
    ),
    *_in(
        "lora_lessons/tasks/splitting.py",
        (
            "a held-out copy of a training line stays held out",
            "kept = [inside and not copy for",
            "kept = [inside or copy for",
            "tasks/test_splitting.py",
        ),
        (
            "a large file is read from its beginning, and not drawn from",
            "(place := chance.randrange(count)) < most",
            "(place := count) < most",
            "tasks/test_splitting.py lessons/l11_your_own/test_room.py",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l00/door.py",
        (
            "another question to the door leaves the adapter off",
            "return _one_line(without), _one_line(models.chat(self.base, question, max_new_tokens=WORDS))",
            "return _one_line(without), _one_line(without)",
            "lessons/l00_start_here/test_door.py::test_another_question_is_asked_of_both_and_trains_nothing",
        ),
        (
            "a stored door makes the page jump to it",
            "        film.stage.follow = False\n",
            "",
            "lessons/l00_start_here/test_door.py::test_every_stop_shows_the_loss_and_the_newest_answer_by_then",
        ),
        (
            "the door keeps nothing for a page without a kernel",
            "            bundle[0][SCENE] = whole_stage(",
            "            whole_stage(",
            "lessons/l00_start_here/test_door.py::test_a_page_without_a_kernel_plays_every_stop_that_was_measured",
        ),
    ),
    *_in(
        "lora_lessons/course/chat_box.py",
        (
            "what a learner asked is kept as if it had been recorded",
            '"turns": self._opening',
            '"turns": self.turns',
            "course/test_chat_box.py::test_recorded_turns_are_kept_for_a_page_on_which_no_model_runs",
        ),
    ),
    *_in(
        "lora_lessons/lessons/l09/widget.py",
        (
            "an answer is played at the other adapter's scale",
            '(row["question"], first, scale, second, scale_second)',
            '(row["question"], first, scale_second, second, scale)',
            "lessons/l09_adapters/test_widget.py::test_what_was_recorded_is_kept_for_a_page_on_which_no_model_runs",
        ),
    ),
    *_in(
        "workshop/record/mixer.py",
        (
            "answers are recorded with every adapter as trained, whatever its scale",
            "parts = [(known[name], scale) for",
            "parts = [(known[name], 1.0) for",
            "in_workshop/record/test_mixer.py::test_the_recorded_answers_begin_as_the_models_do",
        ),
    ),
    *_in(
        "workshop/site/widgets.py",
        (
            "of two scenes with one name the first is lost",
            "            if name in baked:\n",
            "            if not name:\n",
            "in_workshop/site/test_replays.py::test_a_scene_that_cannot_be_played_is_refused",
        ),
    ),
    *_in(
        "lora_lessons/course/blind_judge.py",
        (
            "the adapter's answer is always on the left",
            "left = [n % 2 == 0 for n in range(len(pairs))]",
            "left = [True for n in range(len(pairs))]",
            "course/test_blind_judge.py",
        ),
        (
            "a coin is asked about one side only",
            "return min(1.0, 2 * tail)",
            "return min(1.0, tail)",
            "course/test_blind_judge.py",
        ),
    ),
    *_in(
        "workshop/record/holding.py",
        (
            "what a blind guesser knows counts as stored",
            'return read["log2_p"] + entries * BITS',
            'return read["log2_p"] + 2 * entries * BITS',
            "in_workshop/record/test_holding.py::test_bits_are_the_likelihood_that_ten_digits_gained",
        ),
        (
            "bits that are held are counted in nats",
            "likelihood += float(said.sum()) / math.log(2)",
            "likelihood += float(said.sum())",
            "in_workshop/record/test_holding.py::test_bits_are_the_likelihood_that_ten_digits_gained",
        ),
        (
            "a number is said right when one digit is",
            "exact += int((logits.argmax(-1) == digits).all(-1).sum())",
            "exact += int((logits.argmax(-1) == digits).any(-1).sum())",
            "in_workshop/record/test_holding.py::test_bits_are_the_likelihood_that_ten_digits_gained",
        ),
        (
            "the lower blocks of the phone book's base are passed through twice",
            "self.core.layers, self.core.norm = blocks[first:], norm",
            "self.core.layers, self.core.norm = blocks, norm",
            "in_workshop/record/test_holding.py::test_a_base_cut_in_two_computes_as_the_whole",
        ),
    ),
    *_in(
        "workshop/record/capacity.py",
        (
            "a larger book is learned at the small one's rate",
            "rate = search(alone, found, (-1,) if cell.entries > TUNED_AT else (1, -1))",
            "rate = search(alone, found, ())",
            "in_workshop/record/test_capacity.py::test_recording_takes_the_rates_that_held_most_and_goes_on_where_it_was_stopped",
        ),
    ),
    *_in(
        "lora_lessons/mixing.py",
        (
            "a cut adapter keeps its lora_alpha, and so gets another scale",
            "alphas[layer] = _short(scaling * (math.sqrt(r) if adapter.use_rslora else r))",
            "pass",
            "tools/export/test_rank.py::test_every_layer_keeps_the_best_of_its_rank_and_its_scale",
        ),
        (
            "a cut takes the first rows of A and columns of B, not the strongest directions",
            "B[layer], A[layer] = factors(parts, r)",
            "B[layer], A[layer] = B[layer][:, :r], A[layer][:r]",
            "tools/export/test_rank.py::test_pefts_own_conversion_comes_to_the_same",
        ),
    ),
    *_in(
        "lora_tools/exporting/rank.py",
        (
            "a cut adapter takes the place of the one that it was cut from",
            "if out.resolve() == folder.resolve():",
            "if out == folder:",
            "tools/export/test_rank.py::test_it_is_written_whole_or_not_at_all_and_over_nothing_of_yours",
        ),
    ),
    *_in(
        "lora_tools/exporting/model_card.py",
        (
            "a card that a learner filled in is written over",
            "if file.exists() and not overwrite and not is_untouched(read_text(file)):",
            "if file.exists() and not overwrite and is_untouched(read_text(file)) is None:",
            "tools/export/test_model_card.py",
        ),
    ),
    *_in(
        "lora_lessons/models/loading.py",
        (
            "a base in 4 bits counts as half as large",
            "return int(packed.shape.numel())",
            "return int(p.numel())",
            "lessons/l11_your_own/test_room.py::test_the_rate_is_that_of_the_weights_and_not_of_their_bytes",
        ),
    ),
    *_in(
        "lora_tools/own/scoring.py",
        (
            "the lesson shows the personal data of a learner's file",
            "visible(masked(text))",
            "visible(text)",
            "lessons/l11_your_own/test_room.py",
        ),
    ),
    *_in(
        "lora_lessons/models/loading.py",
        (
            "an answer that was cut does not say so",
            "cut * (not ended)",
            "cut * ended",
            "cli/test_ask.py lessons/l11_your_own/test_room.py",
        ),
    ),
    *_in(
        "lora_lessons/files.py",
        (
            "a file takes the place of a pipe or of /dev/null",
            "    _refuse_device(path)\n    path.parent",
            "    path.parent",
            "test_files.py::test_no_pipe_and_no_link_is_replaced_by_a_file",
        ),
        (
            "a new folder takes the place of somebody else's files",
            "if name not in known and",
            "if name in known and",
            "test_adapter.py::test_a_new_folder_takes_the_place_of_nothing_but_an_older_one",
        ),
        (
            "a new folder takes the place of the one that its reader works in",
            "if folder.exists() and Path.cwd().is_relative_to(folder.resolve()):",
            "if folder.exists() and Path.cwd() == folder:",
            "test_adapter.py::test_a_new_folder_takes_the_place_of_nothing_but_an_older_one",
        ),
    ),
    *_in(
        "lora_lessons/run/report/parts.py",
        (
            "a report's verdicts stand in the order of the lessons",
            "return sorted(judged, key=lambda one: one[0].id)",
            "return list(judged)",
            "run/test_report.py::test_the_verdicts_stand_in_the_order_of_the_claims_below_their_count",
        ),
        (
            "a report passes over what failed",
            "return result.status != OK or bool(result.deviations)",
            "return result.status == OK or bool(result.deviations)",
            "run/test_report.py::test_what_failed_comes_first_with_its_cell_and_what_to_do",
        ),
        (
            "a report takes what a notebook said for HTML",
            "autoescape=True",
            "autoescape=False",
            "run/test_report.py::test_what_failed_comes_first_with_its_cell_and_what_to_do",
        ),
        (
            "a notebook called javascript:… is a link that runs",
            'quote(f"{result.lesson}.ipynb")',
            'f"{result.lesson}.ipynb"',
            "run/test_report.py::test_a_notebook_s_name_is_no_address_and_does_nothing_else_in_the_command_to_paste",
        ),
    ),
    *_in(
        ".github/workflows/pages.yml",
        (
            "the code that builds the site may write to the repository",
            "permissions:\n  contents: read\n",
            "permissions:\n  contents: write\n",
            "test_workflows.py::test_they_may_only_read_and_what_publishes_runs_no_code_of_ours",
        ),
        (
            "the workflow calls what is not there",
            "- run: make site ALIVE=1\n",
            "- run: make pages ALIVE=1\n",
            "test_workflows.py::test_every_command_that_they_run_is_there",
        ),
    ),
    *_in(
        "lora_tools/own/scoring.py",
        (
            "the last look is kept, not the best",
            "        if self.best == step:\n",
            "        if step:\n",
            "lessons/l11_your_own/test_learning.py",
        ),
    ),
    *_in(
        "workshop/site/build.py",
        (
            "a site with faults is written all the same",
            "    if faults:\n",
            "    if not faults:\n        pass\n    elif work is None:\n",
            "in_workshop/site/test_build.py::test_a_warning_stops_it_and_what_was_there_stays",
        ),
    ),
    *_in(
        "workshop/site/mathml.py",
        (
            "a command that MathML does not know is shown as TeX",
            'if "\\\\" in made:',
            'if "\\\\" in display:',
            "in_workshop/site/test_build.py::test_a_formula_with_a_mistake_is_refused",
        ),
    ),
    *_in(
        "workshop/site/front.py",
        (
            "the hours of the course count its side trips",
            ' for place, notebook in notebooks.items() if "/" not in place}',
            " for place, notebook in notebooks.items()}",
            "in_workshop/site/test_cover.py::test_the_front_page_says_for_whom_it_is_and_how_long_it_takes",
        ),
        (
            "a verdict on the front page is cut before its reason",
            "sentence)[:2])",
            "sentence)[:1])",
            "in_workshop/site/test_cover.py::test_the_front_page_gives_each_verdict_with_its_reason",
        ),
    ),
    *_in(
        "workshop/site/lessons.py",
        (
            "an exercise's page has no way to a kernel",
            '        return door.html(unsolved["id"])\n',
            "        return text\n",
            "in_workshop/site/test_build.py::test_an_open_exercise_leads_to_a_kernel",
        ),
        (
            "two pictures of a cell share one's words",
            "if _is_picture(output) and any(map(_is_picture, groups[-1])):",
            "if _is_picture(output) and all(map(_is_picture, groups[-1])):",
            "in_workshop/site/test_build.py::test_a_cell_with_two_pictures_becomes_two_so_that_each_has_its_words",
        ),
    ),
    *_in(
        "workshop/site/finishing.py",
        (
            "a hint ends at the first quotation mark in it",
            '_MARKS.sub(lambda mark: f"&#{ord(mark[0])};", html.escape(text))',
            '_MARKS.sub(lambda mark: f"&#{ord(mark[0])};", text)',
            "in_workshop/site/test_numbers.py::test_a_hint_leaves_the_markdown_around_it_alone",
        ),
    ),
    *_in(
        "workshop/site/number_pages.py",
        (
            "a page of numbers shows the last seed's value",
            '{"value": entry["expected"]}',
            '{"value": entry["seeds"][-1]}',
            "in_workshop/site/test_numbers.py::test_a_lesson_has_one_table_with_each_of_its_records_and_the_cell_that_measured_it",
        ),
        (
            "a page of numbers drops the sign of a percentage",
            "{'%' if one.percent else ''}",
            "",
            "in_workshop/site/test_numbers.py::test_the_table_has_what_is_worked_out_or_stands_in_the_code_and_where_it_is_quoted",
        ),
        (
            "a page of numbers counts a seed too few",
            "seeds = max((len(entry",
            "seeds = -1 + max((len(entry",
            "in_workshop/site/test_numbers.py::test_a_lesson_has_one_table_with_each_of_its_records_and_the_cell_that_measured_it",
        ),
        (
            "a number leads to a place that no page has",
            "return Where(page_of(lesson), anchor_of(name),",
            "return Where(page_of(stem), anchor_of(name),",
            "in_workshop/site/test_numbers.py::test_another_lessons_record_leads_to_its_page",
        ),
    ),
    *_in(
        "workshop/site/claims_page.py",
        (
            "the ledger keeps quiet where the records do not bear a verdict out",
            "html.escape(shown.sentence)",
            "html.escape(shown.sentence[:20])",
            "in_workshop/site/test_claims_page.py::test_records_that_say_otherwise_show",
        ),
    ),
    *_in(
        "workshop/site/glossary.py",
        (
            "the glossary links words inside of code",
            'if token.type == "text" and not inside:',
            'if token.type in ("text", "code_inline") and not inside:',
            "in_workshop/site/test_glossary.py::test_only_the_first_plain_word_is_linked",
        ),
    ),
    *_in(
        "notebooks/01_low_rank.ipynb",
        (
            "an output has a text's colour of its own, which a dark page swallows",
            "border:1px solid #ccd;",
            "color:#112;",
            "course/test_dark_theme.py::test_no_output_of_a_lesson_sets_a_texts_colour_without_its_ground",
        ),
    ),
    *_in(
        "lora_lessons/course/on_the_web.py",
        (
            "the pointer is led to values that the page has not",
            "if stop in stops]\n    return {",
            "]\n    return {",
            "in_workshop/site/test_widgets.py::test_the_pointer_goes_to_what_is_there",
        ),
        (
            "a matrix in bytes loses the step of each row",
            "np.abs(rows).max(1)",
            "np.abs(rows).max(1, keepdims=True).mean(0).repeat(len(rows))",
            "in_workshop/site/test_widgets.py::test_a_row_in_bytes_keeps_its_largest_number",
        ),
    ),
    *_in(
        "workshop/site/baking.py",
        (
            "a page need not offer what its widget starts with",
            "        if stage.values[name] not in values and",
            "        if not values and",
            "in_workshop/site/test_widgets.py::test_a_widget_must_offer_what_it_starts_with",
        ),
        (
            "a setting that cannot be shows the scene before it",
            "        if stage.said:\n",
            "        if not stage.said and stage.said:\n",
            "in_workshop/site/test_widgets.py::test_what_cannot_be_is_answered_with_the_lessons_own_sentence",
        ),
    ),
    *_in(
        "lora_lessons/experiments/sizes/cells.py",
        (
            "a cell of another number of steps counts as done",
            'as_today.get(key(row)) == row["how"]',
            "key(row) in as_today",
            "in_workshop/record/test_sizes.py::test_a_killed_run_keeps_every_cell_that_was_measured_and_goes_on_behind_them",
        ),
    ),
    *_in(
        "workshop/record/sizes/running.py",
        (
            "a new cell takes the place of all of its claim",
            "if key(old) != key(row)), row]",
            "if key(old)[:1] != key(row)[:1]), row]",
            "in_workshop/record/test_sizes.py::test_what_is_kept_replaces_its_own_cell_alone_and_names_every_machine",
        ),
    ),
    *_in(
        "workshop/record/sizes/process.py",
        (
            "a cell is begun that will not be done in time",
            "now + takes > end",
            "now > end",
            "in_workshop/record/test_sizes.py::test_with_minutes_no_cell_begins_that_would_not_be_done_and_shorter_ones_do",
        ),
    ),
    *_in(
        "lora_lessons/experiments/sizes/statements.py",
        (
            "a statement counts as seen by its mean, whatever the interval",
            "low, high = (value.mean if end is None else end for end in (value.low, value.high))",
            "low = high = value.mean",
            "experiments/test_sizes.py::test_a_statement_is_seen_where_the_whole_interval_says_so",
        ),
    ),
    *_in(
        "lora_lessons/experiments/sizes/table.py",
        (
            "the base's score stands beside the first seed alone",
            "found = shared | {",
            "found = {",
            "experiments/test_sizes.py::test_the_table_has_means_and_intervals_by_seed_and_says_what_is_open_and_what_cannot_be",
        ),
    ),
    *_in(
        "lora_lessons/preferences.py",
        (
            "a question is read with its padding",
            "attention_mask=seen.repeat_interleave(count, 0)",
            "attention_mask=torch.ones_like(seen).repeat_interleave(count, 0)",
            "test_preferences.py::test_a_question_is_answered_alike_alone_and_beside_a_longer_one",
        ),
        (
            "an answer teaches what stands behind its end",
            "return answer[: int(ends[0]) + 1] if len(ends) else answer",
            "return answer",
            "test_preferences.py::test_a_group_is_sampled_by_its_seed_and_hides_the_question",
        ),
    ),
    *_in(
        "lora_lessons/distillation.py",
        (
            "a student learns the reverse KL where the forward one is meant",
            "return _kl(teacher.detach(), student, taught)",
            "return _kl(student, teacher.detach(), taught)",
            "test_distillation.py::test_ours_is_trls_in_its_loss_and_its_gradients",
        ),
        (
            "what a sampled word is worth is learned as well, and the teacher teaches nothing",
            "worth = (teacher - student).detach()",
            "worth = teacher.detach() - student",
            "test_distillation.py::test_a_sample_pushes_as_the_reverse_kl_does_on_average",
        ),
    ),
    *_in(
        "workshop/record/rewards.py",
        (
            "written answers are learned beyond the score",
            "(step.number + 1) % LOOK == 0 and enough()",
            "(step.number + 1) % LOOK == 0 and not enough",
            "in_workshop/record/test_rewards.py::test_written_answers_are_learned_until_the_score_is_reached",
        ),
    ),
    *_in(
        "workshop/record/runs.py",
        (
            "runs under other settings count as made",
            'goes_on = kept.get("settings") == self.settings',
            "goes_on = bool(kept)",
            "in_workshop/record/test_rewards.py::test_every_run_is_made_once_and_the_written_one_until_it_earns_what_rank_8_earned",
        ),
        (
            "a recording that goes on elsewhere names the last machine alone",
            '{*kept["machine"].split(AND), machine()}',
            "{machine()}",
            "in_workshop/record/test_runs.py::test_a_recording_that_goes_on_elsewhere_names_both_machines",
        ),
    ),
    *_in(
        "workshop/site/alive/library.py",
        (
            "another package than the one that was tried is unpacked",
            "    if found != INTEGRITY:\n",
            "    if not found:\n",
            "in_workshop/site/test_alive.py::test_another_package_of_that_name_is_refused_and_nothing_of_it_is_written",
        ),
    ),
    *_in(
        "workshop/site/alive/doors.py",
        (
            "a door with several ranks says what one of them weighs",
            "return self.adapters if self.ladder else self.adapters[:1]",
            "return self.adapters[:1]",
            "in_workshop/site/test_alive.py::test_where_one_adapter_comes_at_several_ranks_the_button_counts_them_all",
        ),
    ),
    *_in(
        "workshop/site/alive/page/gguf.js",
        (
            "an adapter of another base goes to llama.cpp in the page",
            "if (A.shape[0] !== k || B.shape[1] !== d)",
            "if (A.shape[0] < 0)",
            "browser/site/test_alive.py::test_a_file_that_does_not_fit_is_refused_in_a_sentence",
        ),
    ),
    *_in(
        "workshop/site/alive/page/engine.js",
        (
            "what was kept of a text was computed with other scales",
            "cache_prompt: false",
            "cache_prompt: true",
            "browser/site/test_alive.py::test_a_question_is_answered_without_the_adapter_and_at_the_scale_of_its_slider",
        ),
        (
            "some browsers fetch the library from elsewhere",
            "    model.setCompat(null);",
            "   ",
            "browser/site/test_alive.py::test_a_question_is_answered_without_the_adapter_and_at_the_scale_of_its_slider",
        ),
    ),
    *_in(
        "workshop/site/alive/page/talk.js",
        (
            "every step of the slider has the smallest rank",
            "return () => ({ [offered[range.value]]: 1 });",
            "return () => ({ [offered[0]]: 1 });",
            "browser/site/test_alive.py::test_one_slider_goes_through_the_ranks_of_an_adapter_that_are_all_fetched_at_once",
        ),
        (
            "the model runs on when its page is left",
            "    running?.abort();\n    engine.leave();\n",
            "    running?.abort();\n",
            "browser/site/test_alive.py::test_the_worker_ends_when_the_page_is_left_and_the_door_stands_again",
        ),
    ),
    *_in(
        "workshop/site/alive/page/store.js",
        (
            "a file that came in part is kept",
            "if (blob.size === bytes) return blob;\n  await",
            "return blob;\n  await",
            "browser/site/test_alive.py::test_a_file_that_came_in_part_is_not_kept",
        ),
    ),
    *_in(
        "workshop/record/rates.py",
        (
            "a rate's search ends at the first rate",
            "    return next((rate for rate in near if rate not in found), None)",
            "    return None",
            "in_workshop/record/test_papers.py::test_a_rate_is_searched_until_both_neighbours_of_the_best_are_worse",
        ),
    ),
    *_in(
        "lora_tools/papers/recording.py",
        (
            "runs of an arm that has changed count as its own",
            ' and run["how"] == how(ARMS[run["arm"]])',
            "",
            "in_workshop/record/test_papers.py::test_recording_goes_on_where_it_was_stopped",
        ),
    ),
    *_in(
        "lora_tools/papers/evidence.py",
        (
            "a paper's claim is seen by its mean, whatever the interval",
            "return value.low is not None and value.low > 0 and value.mean",
            "return value.mean",
            "tools/test_papers.py::test_a_mean_whose_interval_reaches_zero_is_not_seen",
        ),
    ),
    *_in(
        "lora_tools/checking/likeness.py",
        (
            "conversations that end with the same thanks are said to have one answer",
            "zip(self._said, self._lines, strict=True)",
            "zip(self._answers, self._lines, strict=True)",
            "tools/checking/test_checker.py::test_one_answer_to_all_questions_is_named_and_the_same_line_again_is_not_that",
        ),
    ),
    *_in(
        "lora_tools/checking/template.py",
        (
            "marks of a template that leave the end out pass unseen",
            "    elif mark and mark not in learned.rpartition(answer)[2]:",
            "    elif not mark:",
            "tools/checking/test_tokens.py::test_trl_agrees_which_generation_marks_leave_the_end_out",
        ),
        (
            "the ends that a base's folder names count for nothing",
            "    return stop_tokens(Path(place)) if place else []",
            "    return []",
            "tools/checking/test_tokens.py::test_an_end_that_the_folder_of_the_base_names_is_one",
        ),
    ),
    *_in(
        "lora_lessons/tasks/templates.py",
        (
            "the first way is advised where a template refuses, whether it takes it or not",
            "        except (*REFUSALS, ValueError):  # nothing may be left to ask\n            continue",
            "        except (*REFUSALS, ValueError):\n            return todo",
            "tools/checking/test_families.py::test_what_a_template_refuses_is_told_the_way_that_it_takes",
        ),
    ),
    *_in(
        "lora_tools/inspection/findings/of_numbers.py",
        (
            "an adapter of another kind that never moved looks trained",
            "if parts and all(bool((opened.read(one) == start).all())",
            "if parts and all(bool((opened.read(one) != start).all())",
            "tools/inspection/test_peft_zoo.py::test_an_adapter_of_another_kind_that_never_moved_is_named",
        ),
    ),
    *_in(
        "lora_tools/inspection/reading.py",
        (
            "an expert in a row is called by its number",
            're.sub(r"(?<=\\D)(\\.\\d+)+$", "", module.removesuffix(".base_layer"))',
            'module.removesuffix(".base_layer")',
            "tools/inspection/test_served.py::test_experts_in_a_row_are_called_by_their_name_and_not_by_their_number",
        ),
    ),
    *_in(
        "lora_tools/checking/layouts.py",
        (
            "a pair's question in another field than prompt is nowhere named",
            "    if not (_asks(chosen) and _asks(rejected)) and (field := _question_in(record)):",
            "    if False and (field := _question_in(record)):",
            "tools/checking/test_pairs.py::test_a_question_in_another_field_than_prompt_is_named",
        ),
        (
            "what both answers repeat is taken for a question in another field",
            "and not any(repeated):",
            "and repeated:",
            "tools/checking/test_pairs.py::test_what_both_answers_repeat_is_no_question_in_another_field",
        ),
    ),
    *_in(
        "lora_tools/checking/unread.py",
        (
            "an answer of weight 0 passes without a word",
            'message["role"] == "assistant" and message.get("weight") == 0',
            "False",
            "tools/checking/test_tokens.py::test_an_answer_of_weight_0_is_not_counted_as_one_and_not_learned",
        ),
    ),
    *_in(
        "lora_tools/inspection/with_base.py",
        (
            "a base of config alone is refused",
            'shapes_in(weight_files(place)) if any(place.glob("*.safetensors")) else {}',
            "shapes_in(weight_files(place))",
            "tools/inspection/test_with_base.py::test_a_base_of_config_alone_says_what_its_config_says",
        ),
    ),
    *_in(
        "lora_lessons/training/runs.py",
        (
            "a step's seconds count all before it",
            "                    raise KeyboardInterrupt\n                start = time.perf_counter()\n",
            "                    raise KeyboardInterrupt\n",
            "training/test_runs.py::test_who_listens_hears_of_every_step_and_changes_nothing",
        ),
    ),
    *_in(
        "lora_lessons/models/weights.py",
        (
            "a file's bits are those of its smallest tensor",
            "largest = max(slices, key=",
            "largest = min(slices, key=",
            "lessons/l11_your_own/test_room.py::test_sixteen_bits_are_not_held_in_thirty_two_and_sixteen",
        ),
    ),
    *_in(
        "lora_lessons/models/parts.py",
        (
            "a base overwritten by a file of its size is not hashed again",
            "mark = (base.place, about.st_size, about.st_mtime_ns)",
            "mark = (base.place, about.st_size, 0)",
            "models/test_named.py::test_the_file_in_its_place_is_used_only_where_it_is_that_file",
        ),
    ),
    *_in(
        "lora_lessons/preferences.py",
        (
            "every step on a reward draws the same numbers",
            "max_new_tokens, how.seed * how.steps + step)",
            "max_new_tokens, how.seed * how.steps)",
            "test_preferences.py::test_each_step_draws_answers_of_its_own",
        ),
    ),
    *_in(
        "lora_tools/inspection/findings/of_file.py",
        (
            "embeddings that are most of a file are a note, and small ones are to be looked at",
            '"look" if size > total / 2 and not meant else "note"',
            '"look" if size < total / 2 and not meant else "note"',
            "tools/inspection/test_peft_zoo.py::test_what_is_found_is_true_and_nothing_else_is_said",
        ),
    ),
    *_in(
        "lora_tools/checking/likeness.py",
        (
            "a leak names the last held-out line that asks it",
            "known = dict(zip(reversed(held_out.numbers), reversed(held_out.lines), strict=True))",
            "known = dict(zip(held_out.numbers, held_out.lines, strict=True))",
            "tools/checking/test_checker.py::test_a_held_out_question_is_found_also_when_it_is_nearly_the_same",
        ),
    ),
    *_in(
        "lora_tools/checking/traces.py",
        (
            "four times in a row is no circle yet",
            "else (part.strip(), 1)",
            "else (part.strip(), 0)",
            "tools/checking/test_checker.py::test_a_mistake_is_named_and_costs_no_good_line",
        ),
    ),
    *_in(
        "lora_tools/exporting/merged.py",
        (
            "a merged folder says two types of its numbers",
            '        settings.pop("torch_dtype", None)\n',
            "",
            "tools/export/test_merged.py::test_it_is_pefts_merge_in_shards_with_the_tokenizer",
        ),
    ),
    *_in(
        "lora_tools/cluster/launch.py",
        (
            "each machine is to hold the base once for every card of the cluster",
            "loading = cluster.cards * sizes.base",
            "loading = cluster.ranks * sizes.base",
            "tools/cluster/test_launch.py::test_what_fits_is_not_refused",
        ),
    ),
    *_in(
        "lora_tools/cluster/ray.py",
        (
            "a run is judged by its mean loss since the start",
            "statistics.fmean(losses[before:rung])",
            "statistics.fmean(losses[:rung])",
            "tools/cluster/test_launch.py::test_a_run_goes_on_while_it_is_within_the_better_half_of_those_before",
        ),
    ),
    *_in(
        "lora_tools/papers/evidence.py",
        (
            "a difference too small to tell is one where it lies below zero",
            "value.high < 0 and value.mean <= -least",
            "value.high < 0 and value.mean <= least",
            "tools/test_papers.py::test_a_record_that_says_otherwise_turns_the_verdict_and_a_condition_is_named",
        ),
    ),
    *_in(
        "lora_tools/cli/run.py",
        (
            "a lab that a signal ended exits as if with another",
            "return ended if ended >= 0 else 128 - ended",
            "return ended if ended >= 0 else 128 + ended",
            "cli/test_lab.py::test_a_lab_that_a_signal_ends_exits_as_a_shell_tells_it",
        ),
    ),
    *_in(
        "workshop/badges.py",
        (
            "the badges of side trips keep the old address",
            "*lessons(), *side_trips(), root",
            "*lessons(), root",
            "in_workshop/test_badges.py::test_a_notebook_that_lacks_a_badge_gets_one_once",
        ),
    ),
    *_in(
        "workshop/site/finishing.py",
        (
            "the room kept for a picture has its sides swapped",
            'height="{round(height * wide / width)}"',
            'height="{round(width * wide / height)}"',
            "in_workshop/site/test_build.py::test_the_room_that_is_kept_free_for_a_picture_has_its_shape",
        ),
    ),
    *_in(
        "lora_tools/own/beforehand.py",
        (
            "a plan leaves out the look at the base",
            "(LOOKS + 1) * here.look / 60",
            "LOOKS * here.look / 60",
            "lessons/l11_your_own/test_room.py::"
            "test_a_plan_is_held_against_what_is_free_and_what_the_base_holds_already",
        ),
    ),
]
