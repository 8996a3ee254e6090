// The host of the widgets on the web: it mounts the course's own modules (stage.js and others, unchanged) on stills, and
// answers them from what Python worked out beforehand. A script is fetched when its still is nearly in sight; everything
// here runs from a folder on the disk, too.

(() => {
  const here = document.currentScript.src.replace(/[^/]*$/, "widgets/");
  const NEAR = "600px", STOP = 280, SLOW = "This setting is still on its way. Wait, or choose another.";
  const LOST = "This setting could not be fetched. Are you still connected? Move the control again to try once more.";
  const kinds = (globalThis.lora_lessons_widgets ??= {}), answerers = (globalThis.lora_lessons_answers ??= {});

  // ---- what is fetched, once: classic scripts and styles, which a page may load from a disk, too ----
  const files = new Map(), given = new Map();

  function fetched(file) {
    if (files.has(file)) return files.get(file);
    const style = file.endsWith(".css"), tag = document.createElement(style ? "link" : "script");
    const promise = new Promise((resolve, reject) => { tag.onload = resolve; tag.onerror = () => reject(new Error(file)); });
    Object.assign(tag, style ? { rel: "stylesheet", href: here + file } : { src: here + file });
    document.head.append(tag);
    files.set(file, promise);
    promise.catch(() => { files.delete(file); tag.remove(); }); // the next time asks again
    return promise;
  }

  globalThis.lora_lessons_baked = (name, packed) => given.set(name, opened(packed)); // a baked file calls it as it runs
  const baked = (name) => fetched(`${name}.js`).then(() => given.get(name));

  const kindOf = (kind) => /* a module of the course, wrapped, with its style */ Promise.all([fetched(`kind.${kind}.css`), fetched(`kind.${kind}.js`)]).then(() => kinds[kind]);

  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

  async function opened(packed) {
    if (typeof packed !== "string") return revived(packed);
    const stream = new Blob([bytes(packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return revived(await new Response(stream).json());
  }

  function revived(value) {
    if (Array.isArray(value)) return value.map(revived);
    if (value === null || typeof value !== "object") return value;
    if ("base64" in value) return bytes(value.base64);
    if ("int8" in value) return rows(new Int8Array(bytes(value.int8).buffer), value.steps);
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, revived(one)]));
  }

  const rows = (small, steps) => // a matrix, each row of which has a step of its own
    new Uint8Array(Float32Array.from(small, (n, i) => n * steps[Math.floor(i * steps.length / small.length)]).buffer);

  // ---- the model: what a widget's module knows of Python ----
  class Model {
    #state;
    #heard = new Map();
    constructor(state) { this.#state = { asleep: SLOW, ...state }; }
    get(name) { return this.#state[name]; }
    set(name, value) { this.update({ [name]: value }); }
    update(changes) { // all at once, then heard one by one
      const changed = Object.keys(changes).filter((name) => changes[name] !== this.#state[name]);
      Object.assign(this.#state, changes);
      for (const name of changed) for (const hear of [...(this.#heard.get(`change:${name}`) ?? [])]) hear();
    }
    on(events, hear) { this.#change(events, (those) => [...those, hear]); }
    off(events, hear) { this.#change(events, (those) => those.filter((one) => one !== hear)); }
    #change(events, made) { for (const event of events.split(" ")) this.#heard.set(event, made(this.#heard.get(event) ?? [])); }
    save_changes() { this.answer?.(); }
  }

  // ---- what answers a Stage: the scenes of its settings, looked up ----
  answerers.stage = (model, { held = {}, unheld, table, homes, refused, parts = [] }, name) => {
    const axis = model.get("axis"), settings = Object.keys(held);
    let latest = 0, shown = table && table[place(model.get("values"))];
    if (table) model.update(dressed(parts[0], shown));
    return async () => {
      const asked = model.get("values"), turn = ++latest;
      const answer = (changes) => model.update({ said: "", answered: asked, ...changes });
      const locked = model.get("scene").locked;
      const odd = settings.find((one) => !held[one].includes(asked[one]) && !locked.includes(one));
      if (odd) return answer({ said: unheld[odd] });
      const number = table ? table[place(asked)] : shown;
      if (number < 0) return answer({ said: refused[-1 - number] });
      const moved = number !== shown;
      if (moved) {
        const home = homes[number];
        try {
          parts[home] ??= await baked(`${name}.${home}`);
        } catch {
          return turn === latest && answer({ said: LOST });
        }
        if (turn !== latest) return; // asked for something else meanwhile
      }
      const scene = moved ? dressed(parts[homes[number]], number) : {}, { stops } = scene.scene ?? model.get("scene");
      if (stops.includes(asked[axis])) {
        shown = number;
        return answer(scene);
      }
      if (!moved) return answer({ said: refusal(model.get("scene").beyond, asked[axis]) ?? unheld[axis] });
      shown = number;
      const values = { ...asked, [axis]: nearest(stops, asked[axis]) };
      answer({ ...scene, values, answered: values });
    };

    function place(values) { return settings.reduce((so_far, one) => so_far * held[one].length + Math.max(0, held[one].indexOf(values[one])), 0); }
  };

  function refusal(beyond, typed) { // what Python said to a whole number that the slider cannot be
    const one = Number.isInteger(typed) && (beyond ?? []).find(({ way, last }) => way * typed > way * last);
    return one ? one.said.join(typed) : undefined;
  }

  const dressed = ({ scenes, backdrops }, number) => ({ backdrop: backdrops[scenes[number].backdrop], scene: scenes[number] });
  const nearest = (stops, to) => stops.reduce((best, one) => (Math.abs(one - to) < Math.abs(best - to) ? one : best), stops[0]);

  // ---- stills that come to life ----
  async function wake(holder) {
    if (holder.dataset.life) return;
    holder.dataset.life = "waking";
    try {
      const inside = holder.querySelector("script.baked"), name = holder.dataset.widget;
      const { kind, state, answers, note, plays } = inside ? await opened(JSON.parse(inside.textContent)) : await baked(name);
      const { render } = await kindOf(kind);
      const model = new Model(state), live = document.createElement("div");
      model.answer = answerers[kind]?.(model, answers ?? {}, name, baked);
      live.className = "living coming";
      holder.append(live);
      render({ model, el: live });
      if (note) live.insertAdjacentElement("beforeend", Object.assign(document.createElement("p"), { className: "note", textContent: note }));
      await settled(live);
      live.classList.remove("coming");
      holder.querySelector(".still")?.remove();
      holder.querySelector(".wake")?.remove();
      holder.dataset.life = "live";
      if (plays && !matchMedia("(prefers-reduced-motion: reduce)").matches) play(model, live);
    } catch (error) {
      console.error(error);
      delete holder.dataset.life;
      offer(holder, "This widget could not be fetched. Try again");
    }
  }

  function play(model, live) { // once, from the first stop to the last, unless the reader takes the slider
    const axis = model.get("axis"), left = [...model.get("scene").stops], words = live.querySelector(".words");
    words.style.minHeight = `${words.offsetHeight}px`; // what stands below stays where it is
    const timer = setInterval(() => {
      const values = { ...model.get("values"), [axis]: left.shift() };
      model.update({ values, answered: values });
      if (!left.length) clearInterval(timer);
    }, STOP);
    for (const moved of ["pointerdown", "keydown"]) live.addEventListener(moved, () => clearInterval(timer));
  }

  function offer(holder, words) { // a button only where nothing else wakes the widget: one that vanishes is hard to hit
    const button = holder.querySelector(".wake") ?? Object.assign(document.createElement("button"), { type: "button", className: "wake" });
    button.textContent = words;
    button.onclick = () => wake(holder);
    holder.prepend(button);
  }

  const settled = (live) => new Promise((done) => {
    const ready = () => live.querySelector("[data-settled]")?.dataset.settled !== "false";
    if (ready()) return done();
    const watch = new MutationObserver(() => { if (ready()) { watch.disconnect(); done(); } });
    watch.observe(live, { subtree: true, attributes: true, attributeFilter: ["data-settled"] });
  });

  function start() {
    const near = globalThis.IntersectionObserver && new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) if (isIntersecting) { near.unobserve(target); wake(target); }
    }, { rootMargin: NEAR });
    for (const holder of document.querySelectorAll(".live-widget")) {
      if (near) near.observe(holder);
      else offer(holder, "Make it live");
    }
  }

  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
})();
