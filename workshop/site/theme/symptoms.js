// A filter above the list of symptoms: rows that share words with what was typed, the best first. Without it the list is whole.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const tables = [...document.querySelectorAll(".symptoms")];
  if (!tables.length) return;
  const label = document.createElement("label"), field = document.createElement("input"), said = document.createElement("p");
  label.className = "filter";
  label.append("What do you see? ", field);
  field.type = "search";
  field.placeholder = "the answers never change";
  said.setAttribute("role", "status");
  tables[0].closest("section").before(label, said);

  const SMALL = new Set("a an and are as at be been but by can did do does doesn don for from has have i if in is it its me my never not of on or out s so t than that the their then there they this to too very was when while with".split(" "));
  const parts = (text) => text.toLowerCase().split(/[^\p{L}\p{N}.]+|\.(?=\s|$)/u).filter(Boolean);
  // what "unchanged", "changes" and "change" share
  function stem(word) {
    if (/^un.{5}/.test(word)) word = word.slice(2);
    for (let shorter; word !== shorter; ) {
      shorter = word;
      word = word.replace(/(?<=.{4})(ing|ed|er|est|ly|es|e|(?<!s)s)$/, "");
    }
    return word;
  }
  // what learners call one thing, one line each; the first word stands for all
  const single = new Map(), phrases = [];
  for (const line of (tables[0].dataset.alike || "").split(",").filter(Boolean)) {
    const words = line.split(" ");
    for (const word of words) {
      if (/^[a-z0-9]+$/.test(word)) single.set(word, words[0]);
      else phrases.push([word, new RegExp(`(?<![a-z])${word.replace(/[-.]/g, "[-_. ]?")}(?![a-z])`, "g"), words[0]]);
    }
  }
  phrases.sort(([one], [other]) => other.length - one.length);
  const joined = (text) => phrases.reduce((said, [, found, first]) => said.replace(found, first), text.toLowerCase().replace(/[’']/g, ""));
  const alike = (text) => parts(joined(text)).map((word) => single.get(word)).filter(Boolean);
  const same = (word, typed) => word === typed || stem(word) === stem(typed) || (typed.length > 1 && word.startsWith(typed));

  const rows = tables.flatMap((table) => [...table.querySelectorAll("tbody tr")]);
  const sections = tables.map((table) => table.closest("section")), after = sections.at(-1).nextElementSibling;
  const suspects = [...document.querySelectorAll("p[id^='exhibit-']")];
  const seen = new Map(rows.map((row) => [row, parts(row.cells[0].textContent)]));
  const behind = new Map(rows.map((row) => [row, parts(row.textContent)]));
  const meant = new Map(rows.map((row) => [row, new Set(alike(row.cells[0].textContent))]));

  // A rare word says more than a frequent one, what is seen more than what may be behind it, and the word itself more than one like it.
  // Of rows that say as much, the shortest is nearest to what was typed.
  function scores(typed) {
    const found = new Map(rows.map((row) => [row, 0]));
    for (const one of typed) {
      const like = single.get(one);
      const weigh = (row) => (seen.get(row).some((word) => same(word, one)) ? 2 : meant.get(row).has(like) ? 1.5 : behind.get(row).some((word) => same(word, one)) ? 1 : 0);
      const having = rows.filter(weigh);
      for (const row of having) found.set(row, found.get(row) + weigh(row) * (1 + 1 / having.length));
    }
    for (const [row, score] of found) if (score) found.set(row, score + 0.001 / seen.get(row).length);
    return found;
  }

  field.addEventListener("input", () => {
    const typed = [...new Set(parts(joined(field.value)))].filter((word) => !SMALL.has(word));
    const score = scores(typed), best = Math.max(...score.values());
    for (const row of rows) row.hidden = typed.length > 0 && (!best || score.get(row) < best / 2);
    const of = (list) => Math.max(...list.map((row) => score.get(row)));
    const ordered = (list, value) => [...list].sort((a, b) => value(b) - value(a) || list.indexOf(a) - list.indexOf(b));
    for (const table of tables) table.querySelector("tbody").append(...ordered(rows.filter((row) => table.contains(row)), (row) => score.get(row)));
    for (const section of ordered(sections, (one) => of(rows.filter((row) => one.contains(row))))) {
      after ? after.before(section) : section.parentElement.append(section);
      section.hidden = !section.querySelector("tbody tr:not([hidden])");
    }
    const left = rows.filter((row) => !row.hidden), named = new Set(left.flatMap((row) => [...row.querySelectorAll("a")].map((a) => a.hash.slice(1))));
    for (const suspect of suspects) suspect.hidden = !named.has(suspect.id);
    said.textContent = typed.length ? (left.length ? `${left.length} of ${rows.length} symptoms` : "No symptom has any of these words: try others.") : "";
  });
});
