// The place that an address names stays in view while the widgets above it come to life, until the reader moves.
(() => {
  const SETTLED = 6000; // milliseconds after which nothing of ours moves the page, unless a widget is still on its way
  let place = null, over;
  function land() {
    place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (place instanceof HTMLDetailsElement) place.open = true; // who comes for what is folded wants to see it
    wait();
    stay();
  }
  function wait() {
    clearTimeout(over);
    over = setTimeout(() => (document.querySelector(".live-widget[data-life=waking]") ? wait() : leave()), SETTLED);
  }
  const leave = () => { place = null; };
  const stay = () => place?.scrollIntoView();
  addEventListener("hashchange", land);
  for (const moved of ["wheel", "touchstart", "pointerdown", "keydown"]) addEventListener(moved, leave, { capture: true, passive: true });
  document.addEventListener("DOMContentLoaded", () => {
    land();
    new ResizeObserver(stay).observe(document.querySelector("article") ?? document.body);
  });
})();
