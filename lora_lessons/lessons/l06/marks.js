// The page's half of SixteenMarks (widget.py): marks over a histogram, and the error that they leave. It is worked out
// here, while a mark moves; so the game needs Python only to hand the marks to the next cell.

const ASLEEP = "Python has stopped. You can play on; the lesson's next cell does not see it.";
const BASE = 176, SPIKES = 100, LOW = 206; // the histogram's foot, the longest error below it, and the handles

function svgElement(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Of each place, its share of the squared error: what weighs there, times the squared way to the nearest mark.
function shares(marks, places, energy) {
  let k = 0;
  return places.map((x, i) => {
    while (k < marks.length - 1 && marks[k + 1] - x < x - marks[k]) k++;
    return energy[i] * (x - marks[k]) ** 2;
  });
}

const relative = (marks, places, energy) => Math.sqrt(shares(marks, places, energy).reduce((a, b) => a + b, 0));

function render({ model, el }) {
  const energy = model.get("energy"), nf4 = model.get("nf4"), step = 2 / (energy.length - 1);
  const places = energy.map((_, i) => -1 + i * step), snapped = (x) => Number((Math.round((x + 1) / step) * step - 1).toFixed(3));
  const score = element("p", { class: "score", role: "status" }), svg = svgElement("svg", { role: "group", "aria-label": "sixteen marks over a histogram of weights" });
  const start = (label, marks) => {
    const made = element("button", { type: "button" }, label);
    made.addEventListener("click", () => change([...marks]));
    return made;
  };
  const even = nf4.map((_, k) => -1 + (2 * k) / (nf4.length - 1));
  const python = tie({ model, el }, { asleep: ASLEEP, unheard: "", status: score });
  el.append(element("div", { class: "marks", role: "group", "aria-label": "sixteen marks" }, python.note, svg, score,
    start("Even marks", even), start("NF4's marks", nf4)));
  const rival = relative(nf4, places, energy);
  let held = -1, across = 600;
  const at = (x) => 14 + (x + 1) / 2 * (across - 28), of = (pixel) => (pixel - 14) / (across - 28) * 2 - 1;

  function change(marks) {
    model.set("marks", marks);
    model.save_changes();
  }

  function move(k, to) { // not beyond its neighbours
    const marks = [...model.get("marks")], low = marks[k - 1] ?? -1, high = marks[k + 1] ?? 1;
    const x = Math.min(high, Math.max(low, snapped(to)));
    if (x === marks[k]) return;
    marks[k] = x;
    change(marks);
  }

  // ---- the histogram upwards, and below it where the error comes from: five places to a bar ----
  const bars = svgElement("path", { fill: "#c3c7cb" }), lost = svgElement("path", { fill: "#d55e00" });
  const rivals = svgElement("g", { stroke: "#5f6368", "stroke-width": 1.5, "stroke-dasharray": "3 3" });
  const words = [["weights", 14], ["where the error comes from", BASE + 100]].map(([text, y]) => svgElement("text", { x: 14, y }, text));
  const name = svgElement("text", { y: 14, "text-anchor": "end" }, "dashed: NF4's marks");
  const handles = even.map((_, k) => {
    const made = svgElement("g", { class: "mark", role: "slider", tabindex: 0, "aria-label": `mark ${k + 1}`, "aria-valuemin": -1, "aria-valuemax": 1, ...OURS }, svgElement("line", { y1: 24, y2: LOW }), svgElement("circle", { cy: LOW, r: 7 }));
    made.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!way) return;
      event.preventDefault();
      move(k, model.get("marks")[k] + way * step * (event.shiftKey ? 5 : 1));
    });
    return made;
  });
  svg.append(bars, lost, rivals, ...words, name, ...handles);

  const outline = (values, foot, tallest, way) => {
    const summed = Array.from({ length: (places.length - 1) / 5 + 1 }, (_, b) => values.slice(Math.max(0, 5 * b - 2), 5 * b + 3).reduce((a, c) => a + c, 0));
    const wide = (across - 28) / (summed.length - 1);
    return summed.map((value, b) => `M${(at(-1) + (b - 0.5) * wide).toFixed(1)},${foot}v${(-way * value * tallest).toFixed(2)}h${(wide * 0.9).toFixed(2)}V${foot}Z`).join("");
  };
  const full = Math.max(...places.map((_, i) => energy.slice(Math.max(0, i - 2), i + 3).reduce((a, b) => a + b, 0)));
  const worst = 5 * Math.max(...shares(even, places, energy)); // the scale below: one for all that is tried

  function draw() {
    const marks = model.get("marks"), yours = relative(marks, places, energy);
    svg.setAttribute("viewBox", `0 0 ${across} 286`);
    bars.setAttribute("d", outline(energy, BASE, 150 / full, 1));
    lost.setAttribute("d", outline(shares(marks, places, energy), BASE + 2, 0.7 * SPIKES / worst, -1));
    name.setAttribute("x", across - 14);
    rivals.replaceChildren(...nf4.map((x) => svgElement("line", { x1: at(x), x2: at(x), y1: 24, y2: BASE })));
    handles.forEach((handle, k) => {
      for (const line of handle.querySelectorAll("line")) { line.setAttribute("x1", at(marks[k])); line.setAttribute("x2", at(marks[k])); }
      handle.querySelector("circle").setAttribute("cx", at(marks[k]));
      handle.setAttribute("aria-valuenow", marks[k].toFixed(3));
      handle.classList.toggle("held", k === held);
    });
    score.textContent = `Your error: ${(100 * yours).toFixed(2)}%. NF4's: ${(100 * rival).toFixed(2)}%.${yours < rival - 5e-5 ? " You beat NF4." : ""}`;
  }

  // ---- the nearest mark follows the pointer ----
  const pointed = (event) => of((event.clientX - svg.getBoundingClientRect().left) * across / svg.getBoundingClientRect().width);
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const x = pointed(event), marks = model.get("marks");
    held = marks.reduce((best, mark, k) => (Math.abs(mark - x) < Math.abs(marks[best] - x) ? k : best), 0);
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
    handles[held].focus();
    move(held, x);
    draw();
  });
  svg.addEventListener("pointermove", (event) => { if (held >= 0 && svg.hasPointerCapture(event.pointerId)) move(held, pointed(event)); });
  svg.addEventListener("lostpointercapture", () => { held = -1; draw(); });

  const resized = new ResizeObserver(() => {
    if (!svg.clientWidth || svg.clientWidth === across) return;
    across = svg.clientWidth;
    draw();
  });
  resized.observe(svg);
  const leave = python.listen(draw, "change:marks");
  return () => { resized.disconnect(); leave(); };
}

export default { render };
