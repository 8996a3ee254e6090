// A filter above the list of symptoms: rows that lack one of the words typed are hidden. Without it the list is whole.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const tables = [...document.querySelectorAll(".symptoms")];
  if (!tables.length) return;
  const label = document.createElement("label"), field = document.createElement("input"), said = document.createElement("p");
  label.className = "filter";
  label.append("What do you see? ", field);
  field.type = "search";
  field.placeholder = "loss nan";
  said.setAttribute("role", "status");
  tables[0].closest("section").before(label, said);

  const rows = tables.flatMap((table) => [...table.querySelectorAll("tbody tr")]);
  const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase().split(/[^\p{L}\p{N}.]+/u)]));
  field.addEventListener("input", () => {
    const typed = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !typed.every((one) => words.get(row).some((word) => word.startsWith(one)));
    for (const table of tables) table.closest("section").hidden = !table.querySelector("tbody tr:not([hidden])");
    const left = rows.filter((row) => !row.hidden).length;
    said.textContent = typed.length ? (left ? `${left} of ${rows.length} symptoms` : "No symptom has these words: try fewer, or others.") : "";
  });
});
