// The page's half of a Scale (controls.py): a slider of the browser's own, whose label is its name.

function render({ model, el }) {
  const [label, name, range, said] = ["label", "b", "input", "span"].map((tag) => document.createElement(tag));
  el.classList.add("scale");
  range.type = "range";
  for (const limit of ["min", "max", "step"]) range[limit] = model.get(limit);
  name.textContent = model.get("description");
  range.setAttribute("aria-label", model.get("description")); // the label holds the value, too
  range.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes the arrow keys for itself
  label.append(name, range, said);
  el.append(label);

  function draw() {
    range.value = model.get("value");
    said.textContent = model.get("value").toFixed(1);
    range.setAttribute("aria-valuetext", said.textContent);
  }

  range.addEventListener("input", () => {
    model.set("value", Number(range.value));
    model.save_changes();
  });
  model.on("change:value", draw);
  draw();
  return () => model.off("change:value", draw);
}

export default { render };
