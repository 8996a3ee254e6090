// What answers a Mixer where no model runs: the answers that were recorded, and no others. Each is looked up as soon as
// a control moves; the controls offer what was recorded of the two adapters that are chosen.

(globalThis.lora_lessons_answers ??= {}).mixer = (model, { rows }) => {
  const SCALES = ["scale", "scale_second"];
  const swapped = (row) => ({ ...row, first: row.second, scale: row.scale_second, second: row.first, scale_second: row.scale });
  const all = [...rows, ...rows.map(swapped)]; // whichever of the two is chosen first
  const several = (some, name) => [...new Set(some.map((row) => row[name]))].sort((a, b) => a - b);
  const nearest = (stops, to) => stops.reduce((best, one) => (Math.abs(one - to) < Math.abs(best - to) ? one : best), stops[0]);

  function answer() {
    const heard = model.get("asked").number ?? 0;
    const here = all.filter((row) => row.first === model.get("first") && row.second === model.get("second"));
    if (!here.length) {
      const columns = model.get("columns").map((column) => ({ ...column, answer: "" }));
      return model.update({ heard, columns, status: "This choice was not recorded: choose two different adapters." });
    }
    const offered = [...new Set(here.map((row) => row.question))];
    const before = model.get("question"), question = offered.includes(before) ? before : offered[0];
    const same = here.filter((row) => row.question === question);
    const stops = Object.fromEntries(SCALES.map((name) => [name, several(same, name)]));
    const [scale, scale_second] = SCALES.map((name) => nearest(stops[name], model.get(name)));
    const row = same.find((one) => one.scale === scale && one.scale_second === scale_second);
    const columns = [{ title: "the base", answer: row.base }, { title: row.title, answer: row.answer }];
    const chosen = [row.first, row.second].filter((name) => name !== "none");
    const status = [
      question === before ? "" : `The question is now one that was recorded for ${chosen.length ? chosen.join(" and ") : "the base alone"}.`,
      chosen.length > 1
        ? `Two adapters together were recorded at the scales ${stops.scale.map((one) => one.toFixed(1)).join(" and ")} alone. The answer stands as the model gave it: a mixture may follow neither adapter's rule.`
        : "These are recorded answers: move a scale, or choose another adapter.",
    ];
    return model.update({ heard, offered, question, stops, scale, scale_second, columns, status: status.filter(Boolean).join(" ") });
  }

  answer();
  return answer;
};
