// The page's half of a ChatBox (chat_box.py): a question, a switch for the adapter, and the conversation so far.

const PATIENCE = 5000; // ms until a question that Python has not heard is called unheard
const UNHEARD = "Python has not heard this. It is busy with another cell, or it is not running: then run this lesson's cells again, and ask.";
const ASLEEP = "Run this lesson's cells again to wake me up: Python has stopped. What was said so far stays here.";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function render({ model, el }) {
  const log = element("div", { class: "log", role: "log", "aria-label": "conversation", tabindex: 0 });
  const offered = model.get("offered"), named = { "aria-label": "your question" };
  const field = offered.length
    ? element("select", named, ...offered.map((question) => element("option", {}, question)))
    : element("input", { type: "text", autocomplete: "off", ...named });
  const adapter = element("input", { type: "checkbox", role: "switch" });
  const ask = element("button", { type: "submit" }, "Ask"), stop = element("button", { type: "button" }, "Stop");
  const status = element("p", { class: "status", role: "status" });
  const asleep = element("p", { class: "asleep", role: "note", "aria-live": "polite" });
  const form = element("form", {}, field, ask, stop, element("label", {}, adapter, "adapter on"));
  const root = element("div", { class: "chat-box", role: "group", "aria-label": "chat box" }, asleep, log, form, status);
  root.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes keys for itself
  adapter.checked = true;
  stop.hidden = offered.length > 0; // an answer that was recorded is there at once
  el.append(root);
  let waiting = 0, sleeps = el.classList.contains("jupyter-widgets-disconnected"); // JupyterLab's word for a widget that came without a kernel

  function send(request) {
    const number = model.get("heard") + 1;
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (model.get("heard") < number) status.textContent = UNHEARD; }, PATIENCE);
    model.set("asked", { number, at: Date.now(), ...request });
    model.save_changes();
  }

  field.addEventListener("keydown", (event) => { // JupyterLab keeps the browser from sending a form by Enter
    if (event.key !== "Enter" || event.isComposing || offered.length) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send({ question: field.value, adapter: adapter.checked });
    field.select?.(); // the same question again is one key away
  });
  stop.addEventListener("click", () => send({}));

  // What stands in the log already is left alone, and the log is busy while an answer grows: a screen reader then reads
  // each answer once, when it is whole.
  function draw() {
    const turns = model.get("turns");
    log.setAttribute("aria-busy", model.get("busy"));
    while (log.children.length > turns.length) log.lastElementChild.remove();
    turns.forEach((turn, n) => {
      const said = turn.answer || "…", shown = log.children[n] ?? log.appendChild(drawn(turn));
      if (shown.lastElementChild.textContent !== said) shown.lastElementChild.textContent = said;
    });
    log.scrollTop = log.scrollHeight;
    status.textContent = model.get("status");
    asleep.textContent = sleeps ? ASLEEP : "";
    for (const one of [field, ask, adapter, stop]) one.disabled = sleeps;
    stop.disabled ||= !model.get("busy");
  }

  const drawn = (turn) => element("div", { class: "turn" },
    element("p", { class: "question" }, element("b", {}, `You, adapter ${turn.adapter ? "on" : "off"}: `), turn.question),
    element("p", { class: turn.adapter ? "answer on" : "answer" }, turn.answer || "…"));

  const fallAsleep = () => { // a restarted kernel does not know this widget, and never will
    sleeps = true;
    draw();
  };

  const listens = { "change:turns change:status change:busy": draw, comm_live_update: fallAsleep };
  for (const [events, hear] of Object.entries(listens)) model.on(events, hear);
  draw();
  return () => {
    clearTimeout(waiting);
    for (const [events, hear] of Object.entries(listens)) model.off(events, hear);
  };
}

export default { render };
