// The page's half of a Status (controls.py): a line that stays where it is, so that a screen reader says what changes in it.

function render({ model, el }) {
  const line = document.createElement("p");
  line.setAttribute("role", "status");
  el.append(line);
  const draw = () => { line.textContent = model.get("value"); };
  model.on("change:value", draw);
  draw();
  // A box of ipywidgets has no role and takes none: the line gives it one as soon as it stands in it.
  const placed = new ResizeObserver(() => {
    const box = el.closest(".widget-vbox");
    box?.setAttribute("role", "group");
    box?.setAttribute("aria-label", model.get("group"));
  });
  placed.observe(el);
  return () => { placed.disconnect(); model.off("change:value", draw); };
}

export default { render };
