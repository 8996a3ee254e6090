// The page's half of a BlindJudge (blind_judge.py): one question, two answers, three buttons. Which is whose stays in Python.

const UNHEARD = "Python has not heard this. It is busy with another cell, or it is not running: then run this lesson's cells again. What you judged before is kept.";
const ASLEEP = "Run this lesson's cells again to wake me up: Python has stopped. What you judged before is kept.";
const KEYS = { ArrowLeft: "l", ArrowRight: "r", ArrowDown: "=" };

function render({ model, el }) {
  const question = element("p", { class: "question" });
  const left = element("p", { class: "answer" }), right = element("p", { class: "answer" });
  const button = (choice, words) => {
    const made = element("button", { type: "button", "data-choice": choice }, words);
    made.addEventListener("click", () => choose(choice));
    return made;
  };
  const back = element("button", { type: "button" }, "Take one back (Backspace)");
  const columns = element("div", { class: "columns" },
    element("section", { "aria-label": "left answer" }, left, button("l", "← Left is better")),
    element("section", { "aria-label": "right answer" }, right, button("r", "Right is better →")));
  const status = element("p", { class: "status", role: "status" });
  const python = tie({ model, el }, { asleep: ASLEEP, unheard: UNHEARD, status });
  const root = element("div", { class: "blind-judge", role: "group", "aria-label": "blind comparison", tabindex: 0, ...OURS },
    python.note, question, columns, element("div", { class: "below" }, button("=", "↓ No difference"), back), status);
  el.append(root);

  const pairs = () => model.get("pairs"), choices = () => model.get("choices");
  const at = () => choices().indexOf("."); // the first that is not judged; -1: none

  const choose = (choice) => { if (at() >= 0 && !python.sleeps) python.send({ pair: at(), choice }); };

  function takeBack() {
    const last = (at() < 0 ? pairs().length : at()) - 1;
    if (last >= 0 && !python.sleeps) python.send({ pair: last, choice: "." });
  }

  back.addEventListener("click", takeBack);
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS || event.key === "Backspace")) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat) return; // a key held down is one judgement
    event.key === "Backspace" ? takeBack() : choose(KEYS[event.key]);
  });

  function draw() {
    const n = at(), of = pairs().length, pair = pairs()[n];
    columns.hidden = !pair;
    question.textContent = pair ? pair.question : of ? "All are judged." : "The two answered alike to the letter: there is nothing to judge.";
    left.textContent = pair?.left ?? "";
    right.textContent = pair?.right ?? "";
    for (const one of root.querySelectorAll("[data-choice]")) one.disabled = !pair || python.sleeps;
    back.disabled = of === 0 || n === 0 || python.sleeps;
    status.textContent = pair ? `Question ${n + 1} of ${of}. Which answer is better? Click, or press ←, → or ↓.` : model.get("said");
  }

  return python.listen(draw, "change:choices change:said change:heard");
}

export default { render };
