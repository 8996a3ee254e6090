"""Plausible wrong repairs in hall 3, each with a piece of the sentence that must name it."""

LOAD = """
def load(net, folder):
    state = load_file(folder / "adapter_model.safetensors")
    model = get_peft_model(net, {config})
    set_peft_model_state_dict(model, {{{key}: tensor for key, tensor in state.items()}})
    return model
"""
CONFIG = "LoraConfig.from_pretrained(folder)"
SECOND = """
def add_second_too(model):
    {}
"""
AGAIN = """
def go_on_too(net, folder):
    model = PeftModel.from_pretrained(net, folder)
    {}
"""
BLOCKS = """
def save_memory_too(net):
    {before}
    for block in net.model.layers{which}:
        whole = block.forward
        block.forward = lambda x, whole=whole, **more: checkpoint(partial(whole, **more), x, use_reentrant={reentrant})
    return net
"""
EPOCH = """
def epoch_well(model, optimizer, batches, held_out):
    total, held, kept = 0, 0, []
    for ids in batches:
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        {train}
    model.eval()
    for ids in held_out:
        loss = model(input_ids=ids, labels=ids).loss
        {held}
    {end}
"""
MEANS = "return total / len(batches), held / len(held_out)"
MERGED = """
def merged_well(model):
    net = model.get_base_model()
    {}
"""
HALF = """
def gradients_well(model, ids, parts):
    ({scale} * model(input_ids=ids, labels=ids).loss / parts).backward()
    return {{n: {back} for n, p in model.named_parameters() if "lora_B" in n}}
"""

WRONG: dict[str, list[tuple[str, str]]] = {
    "12.15": [
        ("def load(net, folder): return PeftModel.from_pretrained(net, folder)", "Still the base"),
        (f"def load(net, folder): return get_peft_model(net, {CONFIG})", "Still the base"),
        (LOAD.format(config=CONFIG, key='key.replace(".net.", ".model.", 1)'), "Still the base"),
        (
            LOAD.format(config=CONFIG, key='key.replace(".net.", "." if "layers.0" in key else ".net.", 1)'),
            "rename all keys alike",
        ),
        (
            LOAD.format(
                config='LoraConfig(r=4, target_modules=["q_proj", "v_proj"])', key='key.replace(".net.", ".", 1)'
            ),
            "r and α are not those",
        ),
    ],
    "12.16": [
        (
            SECOND.format('model.add_adapter("second", lora_config()); return adamw(model.parameters())'),
            "Still the first",
        ),
        (
            SECOND.format(
                'model.add_adapter("second", lora_config()); optimizer = adamw(model.parameters()); '
                'model.set_adapter("second"); return optimizer'
            ),
            "built before the switch",
        ),
        (
            SECOND.format(
                'model.add_adapter("second", lora_config()); '
                '[p.requires_grad_("second" in n) for n, p in model.named_parameters()]; return '
                "adamw(model.parameters())"
            ),
            "not active",
        ),
        (
            SECOND.format(
                'model.add_adapter("second", lora_config()); model.base_model.set_adapter(["first", "second"]); '
                "return adamw(model.parameters())"
            ),
            "moved with it",
        ),
        (
            SECOND.format(
                'model.add_adapter("second", lora_config()); model.set_adapter("second"); '
                "return adamw(model.requires_grad_(True).parameters())"
            ),
            "of the base moved",
        ),
        (SECOND.format("return adamw(model.parameters())"), "no adapter called 'second'"),
    ],
    "12.17": [
        (BLOCKS.format(before="", which="", reentrant=True), "hands none on"),
        ("def save_memory_too(net): return net", "everything is kept again"),
        (BLOCKS.format(before="", which="[:1]", reentrant=False), "not every block is computed twice"),
        (
            BLOCKS.format(before="net.get_input_embeddings().requires_grad_(True)", which="", reentrant=True),
            "hands none on",
        ),
    ],
    "12.18": [
        (EPOCH.format(train="total += loss", held="held += loss", end=MEANS), "at the last step"),
        (EPOCH.format(train="kept.append(loss)", held="held += loss.item()", end=MEANS), "at the last step"),
        (EPOCH.format(train="total += loss.item()", held="held += loss", end=MEANS), "791 saved tensors"),
        (EPOCH.format(train="pass", held="held += loss.detach()", end="return [held]"), "not the two means"),
        (EPOCH.format(train="total += loss.item()", held="held += loss.item()", end=MEANS[:-16]), "not the two means"),
        (EPOCH.format(train="total += loss.detach()", held="break", end=MEANS), "look at every held-out one"),
    ],
    "12.19": [
        (MERGED.format("return model.merge_and_unload()"), "together with the head"),
        (
            MERGED.format("net.config.tie_word_embeddings = False; return model.merge_and_unload()"),
            "both names were still one tensor",
        ),
        (
            MERGED.format(
                "net = model.merge_and_unload(); net.lm_head.weight = "
                "nn.Parameter(net.lm_head.weight.detach().clone()); return net"
            ),
            "before you merge",
        ),
        (MERGED.format("return model.unload()"), "was the adapter merged at all"),
        (
            MERGED.format(
                "head = net.lm_head.base_layer; head.weight = nn.Parameter(head.weight.detach().clone()); "
                "net = model.merge_and_unload(); net.config.tie_word_embeddings = True; return net"
            ),
            "the configuration still ties",
        ),
    ],
    "12.20": [
        (HALF.format(scale="1.0", back="p.grad.float()"), "comes too late"),
        (HALF.format(scale="1.0", back="(p.grad * 4096).float() / 4096"), "comes too late"),
        (HALF.format(scale="4096.0", back="p.grad.float()"), "times as large"),
        (HALF.format(scale="2.0**40", back="p.grad.float() / 2**40"), "Infinity or NaN"),
        (HALF.format(scale="4096.0", back="(p.grad.half() / 4096).float()"), "divided in fp16"),
        (
            HALF.format(scale="4096.0", back="p.grad.float() / 4096").replace(
                "    (4096", "    model.half()\n    (4096"
            ),
            "no longer in fp32",
        ),
        (
            "def gradients_well(model, ids, parts):\n"
            "    (model.float()(input_ids=ids, labels=ids).loss / parts).backward()\n"
            "    return {n: p.grad for n, p in model.named_parameters() if 'lora_B' in n}",
            "another format",
        ),
    ],
    "12.21": [
        (AGAIN.format("return model"), "Still frozen"),
        (AGAIN.format("return model.train()"), "Still frozen"),
        (AGAIN.format("return model.requires_grad_(True)"), "of the base moved"),
        ("def go_on_too(net, folder): return get_peft_model(net, lora_config())", "that is a fresh adapter"),
        (
            AGAIN.format("return get_peft_model(model.merge_and_unload(), lora_config())"),
            "holds the second round alone",
        ),
        (
            AGAIN.format("[p.requires_grad_() for n, p in model.named_parameters() if 'lora_B' in n]; return model"),
            "Only 14 of 28",
        ),
        (AGAIN.format("model.base_model.set_adapter('default'); return model.base_model"), "which is a PeftModel"),
        (
            AGAIN.format(
                "again = PeftModel.from_pretrained(net, folder, is_trainable=True); again.save_pretrained(folder); "
                "(folder / 'more.txt').write_text('x'); return again"
            ),
            "leave it as it is",
        ),
    ],
}
