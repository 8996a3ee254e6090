// The page's half of a Stage (stage.py): controls, and marks moved to the places that Python worked out.
// No formula of the course lives here: B·A is multiplied out, everything else is looked up. A drag along the axis needs
// no kernel; any other change asks it, one question at a time.

const SVG = "http://www.w3.org/2000/svg";
// where no kernel runs, the host has a sentence of its own (`asleep`)
const SLEEPS = "Python has not answered yet. If no cell is running, the kernel has stopped: run this lesson's cells again to wake the widget.";
const OLDER = "The picture and the words below it are still those of the last choice that works.";
const ASLEEP = (label) => `Run this lesson's cells again to wake me up: Python has stopped. Until then, only “${label}” moves the picture.`;
const at = (column, i) => (column.length > 1 ? column[i] : column[0]);

const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

// ---- a phone's picture has its panels elsewhere: what was placed in the wide one goes where its panel went ----

const PHONE = 488; // pixels across, at most: those of the style sheet and the card's edges

function moved(from, to, number) {
  const [x0, y0, across0, down0] = from.axes[number], [x1, y1, across1, down1] = to.axes[number];
  const wide = (length) => length * across1 / across0, tall = (length) => length * down1 / down0;
  return { wide, tall, x: (x) => x1 + wide(x - x0), y: (y) => y1 + tall(y - y0) };
}

function placed(mark, from, to) {
  if (from === to) return mark;
  const { wide, tall, x, y } = moved(from, to, mark.ax), made = { ...mark };
  for (const [name, move] of Object.entries({ x, y, width: mark.kind === "line" ? Number : wide, height: tall })) {
    if (name in mark) made[name] = Array.isArray(mark[name]) ? mark[name].map(move) : move(mark[name]);
  }
  const along = (_, px, py) => `${x(Number(px)).toFixed(1)},${y(Number(py)).toFixed(1)}`;
  if (mark.d) made.d = mark.d.map((path) => path.replace(/(-?[\d.]+),(-?[\d.]+)/g, along));
  return made;
}

function grabbed({ x, y }, from, to) {
  if (!x || from === to) return { x, y };
  return { x: { ...x, places: x.places.map(moved(from, to, x.ax).x) }, y: { ...y, places: y.places.map(moved(from, to, y.ax).y) } };
}

// ---- marks: each returns a function that moves it to stop number i ----

function svgMark(svg, tag, mark, place) {
  const made = document.createElementNS(SVG, tag);
  svg.append(made);
  return (i) => place(made, (name, value) => made.setAttribute(name, value), i);
}

const MARKS = {
  dot: (mark, { svg }) => svgMark(svg, "circle", mark, (made, set, i) => {
    set("cx", at(mark.x, i)); set("cy", at(mark.y, i)); set("r", mark.r);
    set("fill", at(mark.fill, i)); set("stroke", at(mark.stroke, i)); set("stroke-width", 2.5);
  }),
  bar: (mark, { svg }) => svgMark(svg, "rect", mark, (made, set, i) => {
    for (const side of ["x", "y", "width", "height"]) set(side, at(mark[side], i));
    set("fill", mark.fill); set("stroke", mark.fill); set("stroke-width", 0.9);
  }),
  line: (mark, { svg }) => svgMark(svg, "path", mark, (made, set, i) => {
    set("d", at(mark.d, i)); set("fill", "none"); set("stroke", mark.stroke);
    set("stroke-width", mark.width); set("stroke-dasharray", mark.dashes); set("stroke-linejoin", "round");
  }),
  text: (mark, { svg, width }) => svgMark(svg, "text", mark, (made, set, i) => {
    const lines = at(mark.text, i).split("\n"), x = at(mark.x, i);
    set("y", at(mark.y, i)); set("fill", at(mark.fill, i)); set("font-size", mark.size);
    set("text-anchor", { left: "start", center: "middle", right: "end" }[mark.ha]);
    const first = { top: 0.9, center: 0.36 - 0.6 * (lines.length - 1), bottom: -0.2 - 1.2 * (lines.length - 1) }[mark.va] ?? 0;
    made.replaceChildren(...lines.map((line, n) => {
      const row = document.createElementNS(SVG, "tspan");
      row.setAttribute("x", x); row.setAttribute("dy", `${n ? 1.2 : first}em`);
      row.textContent = line;
      return row;
    }));
    made.removeAttribute("transform");
    const { x: left, width: across } = made.getBBox(), over = Math.max(0, left + across - width) || Math.min(0, left);
    if (over) set("transform", `translate(${-over})`); // words stay in the picture
  }),
  product: (mark, { picture, width, height, svg }) => { // B·A, one direction more or less at a time
    const canvas = element("canvas", { width: mark.cols, height: mark.rows });
    for (const [css, length, whole] of [["left", mark.x, width], ["top", mark.y, height],
      ["width", mark.width, width], ["height", mark.height, height]]) canvas.style[css] = `${100 * length / whole}%`;
    picture.insertBefore(canvas, svg);
    const pen = canvas.getContext("2d"), image = pen.createImageData(mark.cols, mark.rows);
    const pixels = new Uint32Array(image.data.buffer), sum = new Float32Array(mark.rows * mark.cols);
    const lut = bytes(mark.lut), B = floats(mark.B), A = floats(mark.A);
    const colors = Uint32Array.from({ length: 256 }, (_, c) =>
      ((255 << 24) | (lut[3 * c + 2] << 16) | (lut[3 * c + 1] << 8) | lut[3 * c]) >>> 0);
    let have = 0;
    const direction = (j, sign) => {
      for (let row = 0, p = 0; row < mark.rows; row++) {
        const b = sign * B[j * mark.rows + row];
        for (let col = 0, a = j * mark.cols; col < mark.cols; col++, p++, a++) sum[p] += b * A[a];
      }
    };
    return (i) => {
      const rank = mark.ranks[i];
      if (rank < have / 2) { sum.fill(0); have = 0; }
      while (have < rank) direction(have++, 1);
      while (have > rank) direction(--have, -1);
      const scale = 256 / (mark.high - mark.low);
      for (let p = 0; p < sum.length; p++) {
        const c = (sum[p] - mark.low) * scale;
        pixels[p] = colors[c < 0 ? 0 : c > 255 ? 255 : c | 0];
      }
      pen.putImageData(image, 0, 0);
    };
  },
};

function render({ model, el }) {
  const named_after = model.get("controls").map((control) => control.label).join(", ");
  const root = element("div", { class: "stage", role: "group", "aria-label": `Interactive picture. Controls: ${named_after}` }), controls = element("div", { class: "controls" });
  const picture = element("div", { class: "picture" }), said = element("p", { class: "said", role: "alert" });
  const words = element("p", { class: "words", "aria-live": "polite" });
  const axis = model.get("axis"), alone = model.get("controls").find((control) => control.name === axis).label;
  const python = tie({ model, el }, { asleep: ASLEEP(alone) });
  const resized = new ResizeObserver(() => {
    if (!root.clientWidth || phone === fitsAPhone()) return;
    phone = !phone;
    played = null;
    root.dataset.settled = "false";
    setBackdrop();
  });
  const kept = element("p", { class: "kept" });
  root.append(python.note, controls, picture, said, kept, words); // what comes and goes stands below the picture: it keeps its place
  el.append(root);
  root.dataset.axis = axis;
  let typed = {}, back = {}; // a typed value's predecessor; where it was refused, what the control stands at again
  const standing = () => ({ ...model.get("values"), ...back });
  let movers = [], waiting = 0, patience = 0, gone = false, followed = false, grab = {}, shown = null, played = null; // the backdrop and the scene that the picture shows
  const fitsAPhone = () => root.clientWidth <= PHONE;
  let phone = Boolean(root.clientWidth) && fitsAPhone();
  const drawing = (backdrop) => (phone && backdrop.narrow) || backdrop;

  // ---- the picture ----
  const stopsOf = (control) => (control.stops.length ? control.stops : model.get("scene").stops);
  const place = () => model.get("scene").stops.indexOf(standing()[axis]);

  function setBackdrop() {
    const backdrop = model.get("backdrop"), drawn = drawing(backdrop), img = element("img", { alt: "" });
    img.src = URL.createObjectURL(new Blob([drawn.png], { type: "image/png" }));
    const show = () => {
      if (gone || drawn !== drawing(model.get("backdrop"))) return URL.revokeObjectURL(img.src); // a newer one is on its way
      forget();
      picture.replaceChildren(img);
      shown = backdrop.id;
      setScene();
      if (model.get("follow") && !followed) root.scrollIntoView({ block: "center" });
      followed = true;
    };
    img.decode().then(show, show); // the old picture stays until the new one is ready: no flicker
  }

  const forget = () => picture.querySelectorAll("img").forEach((img) => URL.revokeObjectURL(img.src));

  function setScene() {
    const scene = model.get("scene"), backdrop = model.get("backdrop"), drawn = drawing(backdrop), svg = document.createElementNS(SVG, "svg");
    const { width, height } = drawn;
    if (scene.backdrop !== shown) return; // its picture is on the way
    picture.replaceChildren(...picture.querySelectorAll("img"), svg);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    played = scene;
    movers = scene.marks.map((mark) => MARKS[mark.kind](placed(mark, backdrop, drawn), { picture, width, height, svg }));
    grab = grabbed(scene.grab, backdrop, drawn);
    if (grab.x) svg.append(grabArea(grab)); // above the marks
    sync();
  }

  // A part of the picture may take the pointer: two controls then go to the stops whose places are nearest to it.
  function grabArea({ x, y }) {
    const area = document.createElementNS(SVG, "rect"), low = ({ places }) => Math.min(...places) - 12;
    const length = ({ places }) => Math.max(...places) - Math.min(...places) + 24;
    const place = { class: "grab", x: low(x), y: low(y), width: length(x), height: length(y) };
    for (const [name, value] of Object.entries(place)) area.setAttribute(name, value);
    return area;
  }

  function follow(event) {
    const { left, top, width } = picture.getBoundingClientRect(), unit = drawing(model.get("backdrop")).width / width;
    const near = ({ places, stops }, to) => stops[places.reduce((best, at, i) => (Math.abs(at - to) < Math.abs(places[best] - to) ? i : best), 0)];
    const { x, y } = grab, values = standing();
    const to = { [x.name]: near(x, (event.clientX - left) * unit), [y.name]: near(y, (event.clientY - top) * unit) };
    if (Object.entries(to).some(([name, value]) => value !== values[name])) changeAll(to);
  }

  picture.addEventListener("pointerdown", (event) => {
    if (event.button || !event.target.closest(".grab")) return;
    picture.setPointerCapture(event.pointerId); // the area may be drawn anew under the pointer
    event.preventDefault();
    follow(event);
  });
  picture.addEventListener("pointermove", (event) => { if (picture.hasPointerCapture(event.pointerId)) follow(event); });

  function draw() {
    const i = place(), svg = picture.querySelector("svg");
    if (i < 0 || model.get("scene") !== played) return; // a stop of a scene is no stop of another
    for (const move of movers) move(i);
    const told = model.get("scene").words[i].split("\n"), who = (line) => line.match(/^(You|Before|Model)\b/)?.[0] ?? "";
    words.replaceChildren(...told.map((line, n) => element("span", { "data-who": who(line) }, (n ? "\n" : "") + line)));
    svg.setAttribute("aria-label", words.textContent);
  }

  // ---- the controls ----
  const change = (name, value) => changeAll({ [name]: value });

  function changeAll(asked, before = {}) {
    if (python.sleeps) asked = axis in asked ? { [axis]: asked[axis] } : {};
    const values = { ...standing(), ...asked };
    typed = before;
    back = {};
    model.set("values", values);
    model.save_changes();
    sync();
  }

  const syncs = model.get("controls").map((control) => {
    const { kind, name, label } = control, locked = () => model.get("scene").locked.includes(name);
    const value = () => (locked() ? "" : standing()[name]); // what has no say shows no value
    const holder = element("label", {}, label), named = { ...OURS, "aria-label": label }; // the label holds values, too: no name
    controls.append(holder);
    const takesTyping = (box) => { // what is being typed is not touched until it is taken
      const take = () => {
        box.typing = false;
        const plain = box.value.trim().replace(/^-?\d{1,3}(,\d{3})+(?=\.|$)/, (whole) => whole.replaceAll(",", "")); // as the words write it
        changeAll({ [name]: plain === "" || isNaN(plain) ? box.value : Number(plain) }, { [name]: standing()[name] });
      };
      box.addEventListener("input", () => { box.typing = true; });
      box.addEventListener("change", take);
      box.addEventListener("keydown", (event) => { if (event.key === "Enter") take(); });
      return () => { if (!box.typing) box.value = value(); };
    };
    if (kind === "choice") {
      const list = element("select", { ...named, "data-name": name }, ...control.options.map((o) => element("option", { value: o }, o)));
      list.addEventListener("change", () => change(name, list.value));
      holder.append(list);
      return () => { list.value = value(); };
    }
    const box = element("input", { ...named, type: "text", inputmode: "decimal", "data-typed": name });
    const syncBox = takesTyping(box);
    if (kind === "number") {
      holder.append(box);
      return syncBox;
    }
    const range = element("input", { ...named, type: "range", min: 0, step: 1, "data-name": name });
    box.setAttribute("aria-label", `${label}, typed`);
    range.addEventListener("input", () => change(name, stopsOf(control)[range.value]));
    holder.append(range, box);
    return () => {
      const stops = stopsOf(control), i = stops.indexOf(value());
      range.max = stops.length - 1;
      if (i >= 0) range.value = i;
      range.setAttribute("aria-valuetext", value());
      syncBox();
    };
  });

  function sync() {
    const open = JSON.stringify(model.get("values")) !== JSON.stringify(model.get("answered"));
    if (model.get("said") && !open) back = typed;
    for (const one of syncs) one();
    for (const box of controls.querySelectorAll("input, select")) {
      const name = box.dataset.name ?? box.dataset.typed;
      box.disabled = model.get("scene").locked.includes(name) || (python.sleeps && name !== axis);
    }
    draw();
    const inPage = place() >= 0 && Object.entries(model.get("answered")).every(([k, v]) => k === axis || v === model.get("values")[k]);
    clearTimeout(waiting);
    clearTimeout(patience);
    root.classList.toggle("waiting", false);
    root.dataset.settled = String(!open && model.get("scene") === played);
    said.textContent = model.get("said");
    const older = Boolean(model.get("said")) && !Object.keys(back).length; // a choice that cannot be stays chosen
    root.classList.toggle("older", older);
    kept.textContent = older ? OLDER : "";
    if (open && !inPage) {
      waiting = setTimeout(() => root.classList.add("waiting"), 400);
      patience = setTimeout(() => { said.textContent = model.get("asleep") ?? SLEEPS; }, python.sleeps ? 0 : PATIENCE);
    }
  }

  resized.observe(root);
  setBackdrop();
  const pictures = { "change:backdrop": setBackdrop, "change:scene": setScene };
  const leave = python.listen(sync, "change:values change:answered change:said", pictures);
  return () => {
    leave();
    gone = true;
    resized.disconnect();
    clearTimeout(waiting);
    clearTimeout(patience);
    forget();
  };
}

export default { render };
