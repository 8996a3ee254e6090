// The woken model: a question, a slider for each adapter, two answers side by side, and a place to drop one's own adapter.

import { Engine, LONGEST } from "./engine.js";
import { read, refusal } from "./gguf.js";
import { element } from "./page_half.js";
import { fetched, forget, tidy } from "./store.js";

const STEP = 0.05, REST = 400; // of a slider; milliseconds without a move after which its scale is asked for
const megabytes = (bytes) => (bytes / 1e6 < 100 ? (bytes / 1e6).toFixed(1) : Math.round(bytes / 1e6));
const RESTING = `Move a slider, or ask something else. An answer that ends in … was cut after ${LONGEST} tokens.`;

const UNSTARTED = "The model was fetched, but it could not start: this device may have too little memory for it. The rest of this page works without it.";

// Fetch the model and put it in `holder`; `bedtime` is called with a sentence when it has gone.
export async function wake(holder, here, bedtime) {
  const door = holder.querySelector(".alive-door"), status = door.querySelector("[role=status]");
  const list = await (await fetch(`${here}list.json`, { cache: "no-cache" })).json();
  const files = [list.base, list.wasm, ...Object.values(list.adapters)];
  await tidy(files.map(({ file }) => here + file));
  const offered = holder.dataset.adapters.split(" "), first = "ladder" in holder.dataset ? offered : offered.slice(0, 1);

  const cancel = new AbortController(), bar = element("progress", { "aria-label": "what has been fetched" });
  const stop = element("button", { type: "button" }, "Cancel");
  stop.addEventListener("click", () => cancel.abort());
  door.querySelector("button").hidden = true;
  const waiting = element("div", { class: "alive-waiting" }, bar, stop);
  door.append(waiting);
  try {
    const wanted = [list.base, list.wasm, ...first.map((name) => list.adapters[name])];
    const [base, wasm, ...blobs] = await several(here, wanted, (come, all) => {
      Object.assign(bar, { max: all, value: come });
      status.textContent = `Fetching: ${megabytes(come)} of ${megabytes(all)} MB`;
    }, cancel.signal);
    stop.hidden = true;
    status.textContent = "It is waking …";
    const engine = new Engine(wasm), about = await read(base, list.base.file);
    const adapters = Object.fromEntries(first.map((name, n) => [name, blobs[n]]));
    try {
      await engine.load(base, adapters);
    } catch (error) {
      console.error(error);
      engine.leave();
      return bedtime(UNSTARTED);
    }
    door.hidden = true;
    talk({ holder, here, list, offered, base, about, engine, adapters, bedtime });
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    bedtime("Cancelled. Nothing is fetched until you press the button again.");
  } finally {
    cancel.abort(); // where one file failed, the others need not come
    waiting.remove();
  }
}

async function several(here, files, heard, signal) { // all at once, their bytes counted together
  const come = files.map(() => 0), all = files.reduce((sum, { bytes }) => sum + bytes, 0);
  return Promise.all(files.map(({ file, bytes }, n) => fetched(here + file, bytes, (so_far) => {
    come[n] = so_far;
    if (!signal.aborted) heard(come.reduce((sum, one) => sum + one), all);
  }, signal)));
}

function talk({ holder, here, list, offered, base, about, engine, adapters, bedtime }) {
  const [least, most] = holder.dataset.scales.split(" "), ladder = "ladder" in holder.dataset;
  const rows = new Map(), known = new Map(); // adapters by name; whole answers by what was asked
  let running = null, latest = 0, line = Promise.resolve(), resting = 0;

  // ---- what stands on the page ----
  const field = element("textarea", { rows: 2, "aria-label": "your question" });
  const ask = element("button", { type: "submit" }, "Ask"), stop = element("button", { type: "button" }, "Stop");
  const form = element("form", {}, field, element("div", { class: "alive-asks" }, ask, stop));
  const sliders = element("div", { class: "alive-sliders" }), status = element("p", { class: "alive-status", role: "status" });
  const columns = ["The base alone", ""].map((title) => ({ title: element("b", {}, title), text: element("p") }));
  const answers = element("div", { class: "alive-answers", "aria-live": "polite" }, ...columns.map((one) => element("div", {}, one.title, one.text)));
  const picked = element("input", { type: "file", accept: ".gguf" });
  const drop = element("div", { class: "alive-drop" },
    element("label", {}, element("b", {}, "Your own adapter: "), picked),
    element("p", {}, "Choose a .gguf that “lora-lessons export gguf” wrote, or drop it anywhere here. It is read in this browser and sent nowhere, and neither is what you ask."));
  const gone = element("button", { type: "button" }, "Forget the model");
  const keep = element("p", { class: "alive-keep" }, "This browser keeps what was fetched, so that it need not be fetched again. ", gone);
  const root = element("div", { class: "alive-talk" }, form, answers, status, sliders, ...(ladder ? [] : [drop]), keep);
  const say = (words) => { status.textContent = words; };
  field.value = list.adapters[offered[0]].question;
  holder.append(root);

  function slider(name, min, max, step, value, words, moved) {
    const range = element("input", { type: "range", min, max, step, "aria-label": name }), shown = element("span", { class: "alive-scale", "aria-hidden": "true" });
    const draw = () => {
      shown.textContent = words(Number(range.value));
      range.setAttribute("aria-valuetext", shown.textContent);
    };
    range.value = value;
    range.addEventListener("input", () => {
      draw();
      clearTimeout(resting);
      resting = setTimeout(moved, REST);
    });
    draw();
    return { range, shown, draw };
  }
  function row(name, of, value, cost = "") {
    const { range, shown, draw } = slider(`scale of ${name}`, least, most, STEP, value, (scale) => scale.toFixed(2), () => moved(name));
    const note = element("small", {}, cost);
    const label = element("label", {}, element("span", {}, element("b", {}, name), `: ${of} `, note), range, shown);
    sliders.append(label);
    rows.set(name, { label, note, range, draw });
  }
  function climb() { // one adapter at several ranks
    const { range, shown } = slider("rank", 0, offered.length - 1, 1, offered.length - 1, (n) => list.adapters[offered[n]].rank, () => next());
    const { about: of } = list.adapters[offered[0]];
    sliders.append(element("label", {}, element("span", {}, element("b", {}, "rank"), `: ${of}`), range, shown));
    return () => ({ [offered[range.value]]: 1 });
  }
  const mixed = () => Object.fromEntries([...rows].map(([name, { range }]) => [name, Number(range.value)]).filter(([, scale]) => scale));
  const chosen = ladder ? climb() : mixed;
  if (!ladder) for (const name of offered) {
    const { about: of, bytes } = list.adapters[name];
    if (adapters[name]) row(name, of, 1);
    else row(name, of, 0, `(${megabytes(bytes)} MB, fetched when you move it)`);
  }

  // ---- what is asked: one thing at a time, the latest ----
  const samples = new Set(Object.values(list.adapters).map(({ question }) => question));

  function moved(name) { // an adapter alone shows best at what it has learned, unless the visitor has a question
    const scales = chosen();
    if (samples.has(field.value) && Object.keys(scales).length === 1 && scales[name] && list.adapters[name]) field.value = list.adapters[name].question;
    next();
  }

  function next(first = async () => {}) {
    const turn = ++latest;
    running?.abort();
    line = line.then(first).then(() => (turn === latest ? answer() : undefined)).catch((error) => {
      if (error.name === "AbortError") return;
      console.error(error);
      sleep("The model has stopped. This device may have too little memory for it. Press the button to wake it again.");
    });
    return line;
  }

  async function answer() {
    const question = field.value.trim(), scales = chosen();
    if (!question) return say("Type a question first.");
    running = new AbortController();
    const { signal } = running;
    stop.disabled = false;
    answers.setAttribute("aria-busy", true);
    try {
      await here_with(Object.keys(scales).filter((name) => !adapters[name]), signal);
      columns[1].title.textContent = title(scales) || "No adapter: every slider is at 0";
      for (const { text } of columns) text.textContent = "";
      await written(columns[1], question, scales, signal);
      await written(columns[0], question, {}, signal);
      say(RESTING);
    } finally {
      stop.disabled = true;
      answers.setAttribute("aria-busy", false); // a screen reader reads both answers now that they are whole
    }
  }

  const title = (scales) => Object.entries(scales).map(ladder
    ? ([name]) => `Rank ${list.adapters[name].rank}, ${megabytes(list.adapters[name].bytes)} MB`
    : ([name, scale]) => `${scale} × ${name}`).join(" + ").replaceAll("+ -", "− ");

  async function written({ text }, question, scales, signal) {
    const key = JSON.stringify([question, Object.entries(scales).sort()]);
    if (known.has(key)) return void (text.textContent = known.get(key));
    say("The model is writing …");
    const { text: said, whole } = await engine.answer(question, scales, (so_far) => { text.textContent = so_far; }, signal);
    text.textContent = said.trim() + (whole ? "" : " …");
    known.set(key, text.textContent);
  }

  // The course's adapters that are missing are fetched; llama.cpp then takes up the base, which is here, and all of them.
  async function here_with(missing, signal) {
    if (!missing.length) return;
    const begun = performance.now(), wanted = missing.map((name) => list.adapters[name]);
    const blobs = await several(here, wanted, (come, all) => say(`Fetching ${missing.join(" and ")}: ${megabytes(come)} of ${megabytes(all)} MB. The base stays.`), signal);
    missing.forEach((name, n) => { adapters[name] = blobs[n]; });
    await engine.load(base, adapters);
    const took = ((performance.now() - begun) / 1000).toFixed(1);
    for (const name of missing) rows.get(name).note.textContent = `(fetched and loaded in ${took} s; the base stayed)`;
  }

  // ---- an adapter of the visitor's own ----
  async function own(file) {
    const why = await refusal(file, file.name, about, list.base.name);
    if (why) return say(why);
    const stem = file.name.replace(/(-lora)?\.gguf$/i, ""), name = list.adapters[stem] ? `${stem} (yours)` : stem;
    for (const { range, draw } of rows.values()) {
      range.value = 0;
      draw();
    }
    rows.get(name)?.label.remove(); // an earlier file of this name
    row(name, "your file", 1);
    for (const key of known.keys()) if (key.includes(JSON.stringify(name))) known.delete(key);
    say(`${name} fits this base. llama.cpp is loading it …`);
    return next(async () => {
      adapters[name] = file;
      try {
        await engine.load(base, adapters);
      } catch (error) {
        console.error(error);
        latest++;
        delete adapters[name];
        rows.get(name).label.remove();
        rows.delete(name);
        await engine.load(base, adapters);
        say(`llama.cpp cannot load ${file.name}. Export it again, and choose the new file.`);
      }
    });
  }

  // ---- to bed: the worker ends, and its memory is free ----
  function sleep(words) {
    latest++;
    clearTimeout(resting);
    running?.abort();
    engine.leave();
    removeEventListener("pagehide", left);
    bedtime(words);
  }
  const left = () => sleep("");
  addEventListener("pagehide", left);

  // ---- what the visitor does ----
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    next();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  stop.addEventListener("click", () => {
    latest++;
    running?.abort();
    say("Stopped. Ask again, or move a slider.");
  });
  picked.addEventListener("change", () => {
    if (picked.files[0]) own(picked.files[0]);
    picked.value = ""; // the same file, written anew, can be chosen again
  });
  if (!ladder) {
    for (const kind of ["dragenter", "dragover"]) root.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    root.addEventListener("dragleave", (event) => { if (!root.contains(event.relatedTarget)) drop.classList.remove("over"); });
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files[0]) own(event.dataTransfer.files[0]);
    });
  }
  gone.addEventListener("click", async () => {
    await forget();
    sleep("The model is gone from this browser.");
  });
  if (Math.abs(form.getBoundingClientRect().top) < innerHeight) form.scrollIntoView(); // the answers come below it
  field.focus({ preventScroll: true });
  next();
}
