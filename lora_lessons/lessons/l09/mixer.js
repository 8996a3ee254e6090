// The page's half of a Mixer (widget.py): two adapters, a scale for each, a question, and two answers side by side.

const UNHEARD = "Python has not heard this. It is busy with another cell, or it is not running: then run this lesson's cells again, and ask.";
const ASLEEP = "Run this lesson's cells again to wake me up: Python has stopped. The last answers stay here.";
const ADAPTERS = [["first", "scale", "first adapter", "scale of first"], ["second", "scale_second", "second adapter", "scale of second"]];

function render({ model, el }) {
  const form = element("form"), status = element("p", { class: "status", role: "status" });
  const answers = element("div", { class: "answers", "aria-live": "polite" });
  const python = tie({ model, el }, { asleep: ASLEEP, unheard: UNHEARD, status });
  el.append(element("div", { class: "mixer", role: "group", "aria-label": "adapter mixer" }, python.note, form, answers, status));

  function change(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  // ---- an adapter and its scale ----
  const drawScales = ADAPTERS.map(([name, scale, label, scaleLabel]) => {
    const list = element("select", { "aria-label": label, ...OURS }, ...model.get("names").map((one) => element("option", {}, one)));
    const range = element("input", { type: "range", min: 0, step: 1, "aria-label": scaleLabel, ...OURS }), said = element("span", { class: "value" });
    const stops = () => model.get("stops")[scale];
    list.addEventListener("change", () => change(name, list.value));
    range.addEventListener("input", () => change(scale, stops()[range.value]));
    form.append(element("div", { class: "adapter" }, element("label", {}, label, list), element("label", {}, scaleLabel, range, said)));
    return () => {
      const value = model.get(scale);
      list.value = model.get(name);
      range.max = stops().length - 1;
      range.value = stops().indexOf(value);
      range.disabled = python.sleeps || stops().length < 2;
      list.disabled = python.sleeps;
      said.textContent = value.toFixed(1);
      range.setAttribute("aria-valuetext", said.textContent);
    };
  });

  // ---- the question: free, or one of those that can be answered ----
  const holder = element("label", { class: "question" }, "your question");
  const ask = element("button", { type: "submit", class: "ask" }, "Answer"), cancel = element("button", { type: "button" }, "Cancel");
  form.append(holder, ask, cancel);
  let field = null;

  function drawQuestion() {
    const offered = model.get("offered");
    field?.remove();
    field = questionField(offered);
    field.addEventListener("change", () => change("question", field.value));
    holder.append(field);
    ask.hidden = cancel.hidden = offered.length > 0; // nothing is written there: what was recorded is shown at once
    field.value = model.get("question");
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    model.set("question", field.value);
    python.send({});
  });
  cancel.addEventListener("click", () => python.send({ cancel: true }));

  // ---- the answers: a screen reader reads them once, when they are whole ----
  const columns = model.get("columns").map(() => {
    const title = element("b"), answer = element("p", { class: "answer" });
    answers.append(element("div", {}, title, answer));
    return [title, answer];
  });

  function draw() {
    for (const one of drawScales) one();
    field.value = model.get("question");
    answers.setAttribute("aria-busy", model.get("busy"));
    columns.forEach(([title, answer], n) => {
      const shown = model.get("columns")[n];
      if (title.textContent !== shown.title) title.textContent = shown.title;
      if (answer.textContent !== shown.answer) answer.textContent = shown.answer;
    });
    status.textContent = model.get("status");
    field.disabled = ask.disabled = python.sleeps;
    cancel.disabled = python.sleeps || !model.get("busy");
  }

  const drawn = ["first", "second", "scale", "scale_second", "stops", "question", "columns", "status", "busy"].map((name) => `change:${name}`);
  drawQuestion();
  return python.listen(draw, drawn.join(" "), { "change:offered": drawQuestion });
}

export default { render };
