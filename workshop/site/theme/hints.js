// One tooltip for all hints: the text of data-hint, shown on hover, focus and tap; Escape closes it.
(function () {
  "use strict";
  const tip = document.createElement("div");
  tip.id = "hint";
  tip.className = "hint";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  let owner = null, touched = null, leaving = 0; // whose hint is shown; what was tapped first; a timer

  function place() {
    const link = owner.getClientRects()[0] || owner.getBoundingClientRect();
    const width = document.documentElement.clientWidth, edge = 8;
    tip.style.left = Math.max(edge, Math.min(link.left, width - tip.offsetWidth - edge)) + "px";
    const above = link.top - tip.offsetHeight - edge;
    tip.style.top = (above >= edge ? above : link.bottom + edge) + "px";
  }

  function show(link) {
    clearTimeout(leaving);
    if (owner !== link) hide();
    owner = link;
    tip.textContent = link.dataset.hint;
    link.setAttribute("aria-describedby", tip.id);
    tip.hidden = false;
    place();
  }

  function hide() {
    clearTimeout(leaving);
    if (owner) owner.removeAttribute("aria-describedby");
    owner = null;
    tip.hidden = true;
  }

  const hinted = (event) => event.target.closest && event.target.closest("[data-hint]");
  const onTip = (node) => node === tip || (owner && owner.contains(node));

  document.addEventListener("DOMContentLoaded", () => (document.querySelector("main, [role=main]") || document.body).append(tip));
  document.addEventListener("focusin", (event) => (hinted(event) ? show(hinted(event)) : hide()));
  document.addEventListener("focusout", hide);
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse") return;
    if (hinted(event)) show(hinted(event));
    else if (onTip(event.target)) clearTimeout(leaving);
    else if (owner) { clearTimeout(leaving); leaving = setTimeout(hide, 150); } // time to reach the tip itself
  });
  document.addEventListener("pointerdown", (event) => { // a first tap shows the hint, a second follows the link
    const link = hinted(event);
    touched = event.pointerType !== "mouse" && link && link !== owner ? link : null;
    if (!link && !tip.contains(event.target)) hide();
  });
  document.addEventListener("click", (event) => {
    if (touched && hinted(event) === touched) { event.preventDefault(); show(touched); }
    touched = null;
  }, true);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("scroll", () => owner && place(), { passive: true, capture: true });
  addEventListener("resize", hide);
})();
