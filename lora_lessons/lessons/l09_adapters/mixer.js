// The page's half of a Mixer (widget.py): two adapters, a scale for each, a question, and two answers side by side.

const PATIENCE = 5000; // ms until a question that Python has not heard is called unheard
const UNHEARD = "Python has not heard this. It is busy with another cell, or it is not running: then run this lesson's cells again, and ask.";
const ASLEEP = "Run this lesson's cells again to wake me up: Python has stopped. The last answers stay here.";
const ADAPTERS = [["first", "scale", "first adapter", "scale of first"], ["second", "scale_second", "second adapter", "scale of second"]];

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const OURS = { "data-lm-suppress-shortcuts": "true" }; // else JupyterLab takes the arrow keys for itself
const options = (names) => names.map((name) => element("option", {}, name));

function render({ model, el }) {
  const form = element("form"), status = element("p", { class: "status", role: "status" });
  const answers = element("div", { class: "answers", "aria-live": "polite" });
  const asleep = element("p", { class: "asleep", role: "note", "aria-live": "polite" });
  el.append(element("div", { class: "mixer", role: "group", "aria-label": "adapter mixer" }, asleep, form, answers, status));
  let waiting = 0, sleeps = el.classList.contains("jupyter-widgets-disconnected"); // JupyterLab's word for a widget that came without a kernel

  function change(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  // ---- an adapter and its scale ----
  const drawScales = ADAPTERS.map(([name, scale, label, scaleLabel]) => {
    const list = element("select", { "aria-label": label, ...OURS }, ...options(model.get("names")));
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
      range.disabled = sleeps || stops().length < 2;
      list.disabled = sleeps;
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
    const offered = model.get("offered"), named = { "aria-label": "your question", ...OURS };
    field?.remove();
    field = offered.length ? element("select", named, ...options(offered)) : element("input", { type: "text", autocomplete: "off", ...named });
    field.addEventListener("change", () => change("question", field.value));
    field.addEventListener("keydown", (event) => { // JupyterLab keeps the browser from sending a form by Enter
      if (event.key !== "Enter" || event.isComposing || offered.length) return;
      event.preventDefault();
      form.requestSubmit();
    });
    holder.append(field);
    ask.hidden = cancel.hidden = offered.length > 0; // nothing is written there: what was recorded is shown at once
    field.value = model.get("question");
  }

  function send(request) {
    const number = model.get("heard") + 1;
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (model.get("heard") < number) status.textContent = UNHEARD; }, PATIENCE);
    change("asked", { number, at: Date.now(), ...request });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    model.set("question", field.value);
    send({});
  });
  cancel.addEventListener("click", () => send({ cancel: true }));

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
    asleep.textContent = sleeps ? ASLEEP : "";
    field.disabled = ask.disabled = sleeps;
    cancel.disabled = sleeps || !model.get("busy");
  }

  const fallAsleep = () => { // a restarted kernel does not know this widget, and never will
    sleeps = true;
    draw();
  };

  const drawn = ["first", "second", "scale", "scale_second", "stops", "question", "columns", "status", "busy"].map((name) => `change:${name}`);
  const listens = { "change:offered": drawQuestion, [drawn.join(" ")]: draw, comm_live_update: fallAsleep };
  for (const [events, hear] of Object.entries(listens)) model.on(events, hear);
  drawQuestion();
  draw();
  return () => {
    clearTimeout(waiting);
    for (const [events, hear] of Object.entries(listens)) model.off(events, hear);
  };
}

export default { render };
