// Long lines that were printed are sentences, and wrap; what scrolls sideways can be scrolled by keyboard; a page opened from a
// disk does not ask for other pages.
(function () {
  "use strict";
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

  addEventListener("DOMContentLoaded", () => {
    // a search quotes prose: no code, no tables of results, no maps of progress
    if (typeof Search !== "undefined") {
      const toText = Search.htmlToText;
      Search.htmlToText = (page, anchor) => {
        const whole = new DOMParser().parseFromString(page, "text/html");
        for (const part of whole.querySelectorAll(".no-search, pre, details.records, .try-it")) part.remove();
        return toText(whole.documentElement.outerHTML, anchor);
      };
    }
    for (const printed of document.querySelectorAll(".output.stream pre")) {
      printed.classList.toggle("words", printed.textContent.split("\n").some((line) => line.length > 90));
    }
  });

  function reachable() {
    for (const box of document.querySelectorAll("article pre, .output, .table-wrapper, .formula")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }
  addEventListener("load", reachable);
  addEventListener("resize", reachable);
  document.addEventListener("toggle", reachable, true);
})();
