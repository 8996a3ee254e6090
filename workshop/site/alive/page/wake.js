// What stands on a page before its model is woken: a button, or a sentence that says why there is none. Everything else is
// fetched when the button is pressed.

(() => {
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  const SERVER = "The live model needs a server, because a browser lets no page from a disk read the files beside it. In the site's folder, run “python -m http.server”, and open http://localhost:8000. The rest of this page works without it.";
  const OLD = "This browser cannot run the live model, because its WebAssembly has no 64-bit memory. Current versions of Chrome, Edge and Firefox have it. The rest of this page works without it.";
  // 170 → 438 MB in the page's process: Chromium 156, Linux, 2026-11-29
  const SMALL = "This device reports little memory, and the model takes about 0.3 GB. If the browser stops the page, load it again: the rest of it works without the model.";
  const HERE_ALREADY = "Wake the model: it is in this browser already";

  function lacking() {
    if (location.protocol === "file:") return SERVER;
    try {
      new WebAssembly.Memory({ address: "i64", initial: 1n }); // a browser that has this has SIMD and exceptions, too
    } catch {
      return OLD;
    }
    return "";
  }

  const kept = async (file) => Boolean(globalThis.caches && (await caches.match(here + file)));

  function offer(holder, said = "") {
    const door = holder.querySelector(".alive-door"), button = door.querySelector("button"), status = door.querySelector("[role=status]");
    const words = (holder.dataset.words ??= button.textContent), why = lacking();
    for (const talk of holder.querySelectorAll(".alive-talk")) talk.remove();
    door.hidden = button.hidden = false;
    button.disabled = Boolean(why);
    button.textContent = words;
    status.textContent = said || why || (navigator.deviceMemory <= 1 ? SMALL : "");
    if (!why) kept(holder.dataset.base).then((yes) => { if (yes) button.textContent = HERE_ALREADY; }, () => {});
    button.onclick = async () => {
      button.disabled = true;
      try {
        const { wake } = await import(`${here}talk.js`);
        await wake(holder, here, (why) => offer(holder, why));
      } catch (error) {
        console.error(error);
        offer(holder, "The model could not be fetched. Are you still connected? Press the button to try again; what has arrived is kept.");
      }
    };
  }

  for (const holder of document.querySelectorAll(".alive")) offer(holder);
})();
