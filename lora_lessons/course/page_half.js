// What every widget's page half begins with (page_half.py puts it there): elements, and the tie to Python.

const PATIENCE = 5000; // ms until what Python has not heard is called unheard
const OURS = { "data-lm-suppress-shortcuts": "true" }; // else JupyterLab takes keys, such as the arrows, for itself

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A question's field: a list where only the `offered` ones can be asked, else free text.
function questionField(offered) {
  const named = { "aria-label": "your question", ...OURS };
  if (offered.length) return element("select", named, ...offered.map((question) => element("option", {}, question)));
  const field = element("input", { type: "text", autocomplete: "off", ...named });
  field.addEventListener("keydown", (event) => { // JupyterLab keeps the browser from sending a form by Enter
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    field.form.requestSubmit();
  });
  return field;
}

// The tie to Python: `note` shows `asleep` where no kernel is left to answer, and `status` shows `unheard` when none
// has heard what was asked.
function tie({ model, el }, { asleep, unheard, status }) {
  const note = element("p", { class: "asleep", role: "note", "aria-live": "polite" });
  let waiting = 0;

  function send(request) {
    const number = model.get("heard") + 1;
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (model.get("heard") < number) status.textContent = unheard; }, PATIENCE);
    model.set("asked", { number, at: Date.now(), ...request });
    model.save_changes();
  }

  // Calls `draw` now and on each of `events`, and what `others` name on theirs. Returns what ends that.
  function listen(draw, events, others = {}) {
    const fallAsleep = () => { // a restarted kernel does not know this widget, and never will
      python.sleeps = true;
      show();
    };
    const show = () => {
      note.textContent = python.sleeps ? asleep : "";
      draw();
    };
    const heard = { ...others, [events]: draw, comm_live_update: fallAsleep };
    for (const [names, hear] of Object.entries(heard)) model.on(names, hear);
    show();
    return () => {
      clearTimeout(waiting);
      for (const [names, hear] of Object.entries(heard)) model.off(names, hear);
    };
  }

  const sleeps = el.classList.contains("jupyter-widgets-disconnected"); // JupyterLab's word for a widget that came without a kernel
  const python = { sleeps, note, send, listen };
  return python;
}

