"""The live model's own scripts, with a library that only says what it was asked: what is fetched, asked,
refused and let go."""

import pytest
from playwright.sync_api import expect

from .a_small_model import WIDTH, write_adapter, write_base, write_pages
from .conftest import DESKTOP, PHONE, Visitor, served
from .test_pages import AXE, RUN, STICKS_OUT

RESTING = "Move a slider"
CALLS = "kind => (window.calls ?? []).filter((one) => one.call === kind)"
AWAY = "() => dispatchEvent(new PageTransitionEvent('pagehide'))"
WEIGHT = 8_000  # bytes that a door may cost before it is opened


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alive")
    write_pages(folder)
    return folder


@pytest.fixture(scope="module")
def at(small):
    with served(small) as address:
        yield address


@pytest.fixture
def come(browser, at):
    """A function that opens a page with a door, and returns the visitor and the part that lives;
    none may have a fault."""
    visitors = []

    def opened(name="index.html", size=DESKTOP, at=at, script=""):
        visitors.append(visitor := Visitor(browser, at, size, dark=False))
        visitor.context.add_init_script(script)
        return visitor, visitor.go(name).locator(".alive")

    yield opened
    for one in visitors:
        one.context.close()
    assert [fault for one in visitors for fault in one.faults] == []


def door(alive):
    return alive.locator(".alive-door").get_by_role("button", name="Wake")


def woken(alive):
    door(alive).click()
    rested(alive)


def rested(alive):
    expect(alive.locator(".alive-status")).to_contain_text(RESTING)
    expect(alive.locator(".alive-answers")).to_have_attribute("aria-busy", "false")


def answers(alive):
    return alive.locator(".alive-answers p").all_text_contents()


def lets_go(page):
    return len(page.evaluate(CALLS, "exit"))


def test_nothing_is_fetched_before_the_button_is_pressed_and_it_says_how_much(come, small):
    visitor, alive = come()
    asked, bodies = [], []
    visitor.page.on("request", lambda one: asked.append(one.url.rpartition("/")[2]))
    visitor.page.on("response", lambda one: bodies.append(one))
    visitor.page.reload()
    visitor.page.wait_for_load_state("networkidle")
    assert {*asked} - {"favicon.ico"} == {"index.html", "wake.js", "alive.css"}
    assert sum(len(one.body()) for one in bodies if "alive" in one.url) < WEIGHT
    expect(door(alive)).to_have_text("Wake the model: 2 MB, once")
    door(alive).click()
    rested(alive)
    fetched = {name for name in asked if name.endswith((".gguf", ".wasm"))}
    assert fetched == {"base-1.gguf", "persona-1.gguf", "wllama.wasm"}, "of the adapters only the one that speaks"


def test_a_question_is_answered_without_the_adapter_and_at_the_scale_of_its_slider(come):
    visitor, alive = come()
    page = visitor.page
    woken(alive)
    assert answers(alive) == ["I say Ask persona? [0: 0]", "I say Ask persona? [0: 1]"]
    alive.get_by_role("textbox", name="your question").fill("Who are you?")
    page.keyboard.press("Enter")
    expect(alive.locator(".alive-answers p").last).to_have_text("I say Who are you? [0: 1]")
    rested(alive)
    slider = alive.get_by_role("slider", name="scale of persona")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "0.50"
    expect(alive.locator(".alive-answers p").last).to_have_text("I say Who are you? [0: 0.5]")
    rested(alive)
    page.keyboard.press("Home")
    expect(alive.locator(".alive-answers p").last).to_have_text("I say Who are you? [0: 0]")
    rested(alive)
    asked = page.evaluate(CALLS, "answer")
    assert len(asked) == 5, "what was answered once is not asked again, and a slider is heard when it rests"
    assert all(one["temperature"] == 0 and one["cache_prompt"] is False for one in asked)
    assert page.evaluate(CALLS, "compat") == [{"call": "compat", "other": None}], "no browser is sent elsewhere"


def test_one_slider_goes_through_the_ranks_of_an_adapter_that_are_all_fetched_at_once(come, tmp_path):
    visitor, alive = come("ladder.html")
    page = visitor.page
    woken(alive)
    page.on("request", lambda one: pytest.fail(one.url))
    assert answers(alive)[1].endswith("[0: 0] [1: 0] [2: 0] [3: 1]"), "it begins with the adapter that is whole"
    slider = alive.get_by_role("slider", name="rank")
    assert slider.get_attribute("aria-valuetext") == "0" and alive.get_by_role("slider").count() == 1
    slider.press("Home")
    expect(alive.locator(".alive-answers p").last).to_contain_text("[0: 1] [1: 0] [2: 0] [3: 0]")
    rested(alive)
    assert slider.get_attribute("aria-valuetext") == "4" and alive.get_by_text("Rank 4, 0.0 MB").is_visible()
    write_adapter(file := tmp_path / "mine-lora.gguf")
    dropped(page, file)
    expect(alive.get_by_role("slider")).to_have_count(1)
    assert len(page.evaluate(CALLS, "load")) == 1 and not alive.locator("input[type=file]").count()


def asks(alive, question):
    alive.get_by_role("textbox").fill(question)
    alive.get_by_role("button", name="Ask").click()


def test_an_answer_may_be_cut_or_stopped_and_a_new_question_takes_its_place(come):
    visitor, alive = come()
    page, last, status = visitor.page, alive.locator(".alive-answers p").last, alive.locator(".alive-status")
    woken(alive)
    asks(alive, "A long one")
    expect(last).to_have_text("I say A long one [0: 1] …")
    asks(alive, "  ")
    expect(status).to_have_text("Type a question first.")
    page.evaluate("window.hold = true")
    asks(alive, "Why?")
    expect(last).to_have_text("I")
    alive.get_by_role("button", name="Stop").click()
    expect(status).to_contain_text("Stopped.")
    expect(alive.get_by_role("button", name="Stop")).to_be_disabled()
    page.evaluate("window.hold = false")
    asks(alive, "Why?")
    rested(alive)
    assert answers(alive) == ["I say Why? [0: 0]", "I say Why? [0: 1]"], "half an answer is not taken for one"
    page.evaluate("window.hold = true")
    for question in ("One?", "Two?"):
        asks(alive, question)
    page.evaluate("window.hold = false")
    expect(last).to_have_text("I say Two? [0: 1]")
    rested(alive)


KEPT = (
    "caches.open('lora-lessons-alive').then((c) => c.keys()).then((k) => k.map((r) => r.url.split('/').at(-1)).sort())"
)
OLD = "caches.open('lora-lessons-alive').then((c) => c.put('/_static/alive/old.gguf', new Response('x')))"


def test_it_is_kept_until_it_is_forgotten_and_what_an_older_site_left_is_cleared_away(come):
    visitor, alive = come()
    visitor.page.evaluate(OLD)
    woken(alive)
    assert visitor.page.evaluate(KEPT) == ["base-1.gguf", "persona-1.gguf", "wllama.wasm"]
    asked = []
    visitor.page.reload()
    visitor.page.on("request", lambda one: asked.append(one.url))
    expect(door(alive)).to_have_text("Wake the model: it is in this browser already")
    woken(alive)
    assert [url for url in asked if url.endswith((".gguf", ".wasm"))] == []
    before = lets_go(visitor.page)
    alive.get_by_role("button", name="Forget the model").click()
    expect(alive.get_by_role("status")).to_have_text("The model is gone from this browser.")
    expect(door(alive)).to_have_text("Wake the model: 2 MB, once")
    assert visitor.page.evaluate("caches.keys()") == []
    assert lets_go(visitor.page) == before + 1


def test_the_worker_ends_when_the_page_is_left_and_the_door_stands_again(come):
    visitor, alive = come()
    woken(alive)
    assert lets_go(visitor.page) == 0
    visitor.page.evaluate(AWAY)
    assert lets_go(visitor.page) == 1
    woken(alive)
    assert alive.locator(".alive-talk").count() == 1


def test_fetching_can_be_cancelled(come):
    visitor, alive = come()
    visitor.page.route("**/base-1.gguf", lambda route: None)
    door(alive).click()
    alive.get_by_role("button", name="Cancel").click()
    expect(alive.get_by_role("status")).to_contain_text("Cancelled.")
    visitor.page.unroute("**/base-1.gguf")
    woken(alive)


def test_a_file_that_came_in_part_is_not_kept(come):
    visitor, alive = come()
    visitor.page.route("**/base-1.gguf", lambda route: route.fulfill(body=b"GGUF"))
    door(alive).click()
    expect(alive.get_by_role("status")).to_contain_text("could not be fetched")
    assert any("4 bytes came" in fault for fault in visitor.faults)
    visitor.faults.clear()
    visitor.page.unroute("**/base-1.gguf")
    woken(alive)


def test_where_it_cannot_run_the_door_says_why(come, small):
    lacking = "WebAssembly.Memory = class { constructor() { throw new TypeError(); } };"
    for how, why in (
        ({"at": small.as_uri()}, "python -m http.server"),
        ({"script": lacking}, "This browser cannot run the live model"),
    ):
        _, alive = come(**how)
        expect(door(alive)).to_be_disabled()
        expect(alive.get_by_role("status")).to_contain_text(why)


def test_a_small_device_is_warned_and_may_try(come):
    small = "Object.defineProperty(Navigator.prototype, 'deviceMemory', { get: () => 1 });"
    _, alive = come(size=PHONE, script=small)
    expect(alive.get_by_role("status")).to_contain_text("This device reports little memory")
    woken(alive)


def test_another_adapter_is_fetched_when_its_slider_moves_and_the_base_stays(come):
    visitor, alive = come("mixer.html")
    page, asked = visitor.page, []
    woken(alive)
    page.on("request", lambda one: asked.append(one.url.rpartition("/")[2]))
    page.evaluate("window.hold = true")
    alive.get_by_role("slider", name="scale of persona").fill("0")
    alive.get_by_role("slider", name="scale of strict_json").fill("1")
    expect(alive.locator(".alive-answers p").last).to_have_text("I")
    page.evaluate("window.hold = false")
    expect(alive.locator(".alive-answers p").last).to_have_text("I say Ask strict_json? [0: 0] [1: 1]")
    rested(alive)
    assert asked == ["strict_json-1.gguf"]
    notes = alive.locator(".alive-sliders small").all_text_contents()
    assert "fetched when you move it" in notes[2] and "the base stayed" in notes[3]
    loads = page.evaluate(CALLS, "load")
    assert [one["path"] for one in loads[-1]["lora"]] == [f"models/model-0000{n}-of-00003.gguf" for n in (2, 3)]
    alive.get_by_role("textbox").fill("Mine?")
    alive.get_by_role("slider", name="scale of persona").press("End")
    alive.get_by_role("slider", name="scale of strict_json").press("Home")
    expect(alive.locator(".alive-answers p").last).to_have_text("I say Mine? [0: 1.5] [1: -1]")
    expect(alive.locator(".alive-answers b").last).to_have_text("1.5 × persona − 1 × strict_json")


def dropped(page, file):
    """The file, dropped onto the live part as a mouse would drop it."""
    script = """([name, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name));
        document.querySelector('.alive-talk').dispatchEvent(
            new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(script, [file.name, [*file.read_bytes()]])


def test_an_adapter_of_ones_own_is_chosen_or_dropped_and_answers(come, tmp_path):
    visitor, alive = come()
    woken(alive)
    write_adapter(file := tmp_path / "mine-lora.gguf")
    sent = []
    visitor.page.on("request", lambda one: sent.append(one.url) if not one.url.startswith("blob:") else None)
    dropped(visitor.page, file)
    expect(alive.get_by_role("slider", name="scale of mine")).to_have_value("1")
    expect(alive.get_by_role("slider", name="scale of persona")).to_have_value("0")
    expect(alive.locator(".alive-answers p").last).to_have_text("I say Ask persona? [0: 0] [1: 1]")
    rested(alive)
    alive.get_by_label("Your own adapter").set_input_files(file)
    rested(alive)
    assert alive.get_by_role("slider").count() == 2, "the same file again takes its own place"
    loads = visitor.page.evaluate(CALLS, "load")
    assert [one["named"] for one in loads] == [0, 0, 0], "wllama would sort files that have names"
    assert sent == []
    expect(alive.locator(".alive-drop")).to_contain_text("sent nowhere")


def another(folder, kind):
    """A file that must be refused."""
    file = folder / f"{kind}.gguf"
    write = {
        "wider": lambda: write_adapter(file, width=2 * WIDTH),
        "elsewhere": lambda: write_adapter(file, layer="blk.9.attn_q"),
        "qwen": lambda: write_adapter(file, architecture="qwen2"),
        "ia3": lambda: write_adapter(file, kind="ia3"),
        "model": lambda: write_base(file),
        "text": lambda: file.write_text("hello"),
        "cut": lambda: (write_adapter(file), file.write_bytes(file.read_bytes()[:-40])),
        "torn": lambda: (write_adapter(file), file.write_bytes(file.read_bytes()[:100])),
    }
    write[kind]()
    return file


@pytest.fixture(scope="module")
def awake(browser, at):
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(f"{at}/index.html")
    woken(page.locator(".alive"))
    yield page
    context.close()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("wider", r"another base model: its blk.0.attn_q.weight is 32 × 16, and this base has 16 × 8"),
        ("elsewhere", r"another base model: it changes blk.9.attn_q.weight, which this base does not have"),
        ("qwen", r"another base model: it is made for “qwen2”, and this base is a “llama”"),
        ("ia3", "another kind than LoRA"),
        ("model", "a whole model, not an adapter"),
        ("text", "is not a GGUF file"),
        ("cut", "is cut off: it should have"),
        ("torn", "is cut off: it ends within its own description"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_a_sentence(awake, tmp_path, kind, why):
    alive, before = awake.locator(".alive"), len(awake.evaluate(CALLS, "load"))
    dropped(awake, another(tmp_path, kind))
    expect(alive.locator(".alive-status")).to_contain_text(why)
    assert len(awake.evaluate(CALLS, "load")) == before and alive.get_by_role("slider").count() == 1


def test_a_model_that_cannot_start_is_woken_again_and_a_file_that_it_does_not_take_leaves_it_awake(come, tmp_path):
    visitor, alive = come()
    visitor.page.evaluate("window.fails = 2")
    door(alive).click()
    expect(alive.get_by_role("status")).to_contain_text("too little memory")
    expect(door(alive)).to_be_enabled()
    visitor.page.evaluate("window.fails = 3")
    woken(alive)
    write_adapter(file := tmp_path / "odd.gguf")
    dropped(visitor.page, file)
    expect(alive.locator(".alive-status")).to_contain_text("llama.cpp cannot load odd.gguf")
    assert alive.get_by_role("slider").count() == 1
    visitor.faults.clear()
    alive.get_by_role("slider").press("End")
    rested(alive)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["index.html", "mixer.html"])
def test_everyone_can_use_it_before_and_after(come, name, size):
    visitor, alive = come(name, size)
    for _ in ("asleep", "awake"):
        visitor.page.evaluate(AXE)
        assert (visitor.page.evaluate(RUN, [None, []]), visitor.page.evaluate(STICKS_OUT)) == ([], [])
        if door(alive).is_visible():
            door(alive).focus()
            visitor.page.keyboard.press("Enter")
            rested(alive)
    expect(alive.get_by_role("textbox", name="your question")).to_be_focused()
