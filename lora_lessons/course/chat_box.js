// The page's half of a ChatBox (chat_box.py): a question, a switch for the adapter, and the conversation so far.

const UNHEARD = "Python has not heard this. It is busy with another cell, or it is not running: then run this lesson's cells again, and ask.";
const ASLEEP = "Run this lesson's cells again to wake me up: Python has stopped. What was said so far stays here.";

function render({ model, el }) {
  const log = element("div", { class: "log", role: "log", "aria-label": "conversation", tabindex: 0 });
  const offered = model.get("offered"), field = questionField(offered);
  const adapter = element("input", { type: "checkbox", role: "switch" });
  const ask = element("button", { type: "submit" }, "Ask"), stop = element("button", { type: "button" }, "Stop");
  const status = element("p", { class: "status", role: "status" });
  const python = tie({ model, el }, { asleep: ASLEEP, unheard: UNHEARD, status });
  const form = element("form", {}, field, ask, stop, element("label", {}, adapter, "adapter on"));
  const root = element("div", { class: "chat-box", role: "group", "aria-label": "chat box", ...OURS }, python.note, log, form, status);
  adapter.checked = true;
  stop.hidden = offered.length > 0; // an answer that was recorded is there at once
  el.append(root);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    python.send({ question: field.value, adapter: adapter.checked });
    field.select?.(); // the same question again is one key away
  });
  stop.addEventListener("click", () => python.send({}));

  // What stands in the log already is left alone, and the log is busy while an answer grows: a screen reader then reads
  // each answer once, when it is whole.
  function draw() {
    const turns = model.get("turns"), rows = []; // the same question without the adapter and with it: side by side
    turns.forEach((turn, n) => rows.push(turns[n - 1]?.question === turn.question && turns[n - 1].adapter !== turn.adapter && rows[n - 2] !== rows[n - 1] ? rows[n - 1] : (rows[n - 1] ?? 0) + 1));
    log.setAttribute("aria-busy", model.get("busy"));
    while (log.children.length > turns.length) log.lastElementChild.remove();
    turns.forEach((turn, n) => {
      const said = turn.answer || "…", shown = log.children[n] ?? log.appendChild(drawn(turn));
      shown.style.gridRow = rows[n];
      if (shown.lastElementChild.textContent !== said) shown.lastElementChild.textContent = said;
    });
    log.scrollTop = log.scrollHeight;
    status.textContent = model.get("status");
    for (const one of [field, ask, adapter, stop]) one.disabled = python.sleeps;
    stop.disabled ||= !model.get("busy");
  }

  const drawn = (turn) => element("div", { class: "turn" },
    element("p", { class: "question" }, element("b", {}, `You, adapter ${turn.adapter ? "on" : "off"}: `), turn.question),
    element("p", { class: turn.adapter ? "answer on" : "answer" }, turn.answer || "…"));

  return python.listen(draw, "change:turns change:status change:busy");
}

export default { render };
