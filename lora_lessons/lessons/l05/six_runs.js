// The page's half of the six-run game (widget.py). It needs no Python: the cards hold what was recorded.

const unique = (values) => [...new Set(values)].sort((a, b) => a - b);
const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;

function render({ model, el }) {
  const cards = model.get("cards"), budget = model.get("budget"), ranks = unique(cards.map((card) => card.r));
  const whole = cards.map((card) => mean(card.losses)); // over all seeds: what a card is worth
  const best = whole.indexOf(Math.min(...whole)), recipe = model.get("recipe");
  const named = ({ r, lora_alpha, learning_rate }) => `r = ${r}, α = ${lora_alpha}, rate ${learning_rate}`;
  const status = element("p", { class: "status", role: "status" }), tables = element("div", { class: "tables" });
  const again = element("button", { type: "button", class: "again" }, "Play again");
  const buttons = cards.map((card, n) => {
    const made = element("button", { type: "button", ...OURS });
    made.addEventListener("click", () => spend([...model.get("runs"), n]));
    return made;
  });

  // A table a learning rate: α down, the rank across; where nothing was recorded there is no card.
  for (const rate of unique(cards.map((card) => card.learning_rate))) {
    const here = cards.filter((card) => card.learning_rate === rate);
    const head = element("tr", {}, element("th", { scope: "col" }, "α \\ r"), ...ranks.map((r) => element("th", { scope: "col" }, r)));
    const rows = unique(here.map((card) => card.lora_alpha)).map((alpha) => element("tr", {},
      element("th", { scope: "row" }, alpha),
      ...ranks.map((r) => {
        const n = cards.findIndex((card) => card.learning_rate === rate && card.lora_alpha === alpha && card.r === r);
        return element("td", {}, ...(n < 0 ? [] : [buttons[n]]));
      })));
    tables.append(element("table", {}, element("caption", {}, `learning rate ${rate}`), head, ...rows));
  }
  el.append(element("div", { class: "six-runs", role: "group", "aria-label": "six-run game" }, status, tables, again));

  function spend(runs) {
    model.set("runs", runs);
    model.save_changes();
    draw();
  }
  again.addEventListener("click", () => spend([]));

  function draw() {
    const runs = model.get("runs"), over = runs.length >= budget;
    const seen = cards.map((card, n) => card.losses.slice(0, runs.filter((one) => one === n).length));
    const tried = cards.map((_, n) => n).filter((n) => seen[n].length);
    const mine = tried.reduce((low, n) => (low < 0 || mean(seen[n]) < mean(seen[low]) ? n : low), -1);
    buttons.forEach((button, n) => {
      const turned = seen[n].length > 0, loss = turned ? mean(seen[n]) : whole[n];
      button.textContent = turned || over ? loss.toFixed(2) : "?";
      button.disabled = over || seen[n].length === cards[n].losses.length;
      button.className = [turned && "turned", over && n === best && "best", over && n === recipe && "recipe", n === mine && "mine"].filter(Boolean).join(" ");
      const seeds = turned ? `, ${seen[n].length} of ${cards[n].losses.length} seeds` : "";
      button.setAttribute("aria-label", `${named(cards[n])}: ${button.textContent === "?" ? "face down" : `${button.textContent} nats`}${seeds}`);
    });
    again.hidden = !runs.length;
    status.textContent = over ? verdict(mine) : runs.length ? `${last(runs, seen)} ${left(budget - runs.length)}` : `Lower is better. ${left(budget)}`;
  }

  const left = (n) => `You have ${n} ${n === 1 ? "run" : "runs"} left.`;

  function last(runs, seen) {
    const n = runs.at(-1), losses = seen[n];
    const mean_of = losses.length > 1 ? `, and ${mean(losses).toFixed(3)} is the mean of ${losses.length} seeds` : "";
    return `${named(cards[n])}: ${losses.at(-1).toFixed(3)} nats${mean_of}.`;
  }

  function verdict(mine) {
    const above = (n) => `${(whole[n] - whole[best]).toFixed(3)} nats above`, place = 1 + whole.filter((one) => one < whole[mine]).length;
    const yours = mine === best ? `the best of ${cards.length}.` : `number ${place} of ${cards.length}, ${above(mine)} the best, ${named(cards[best])} (green ring).`;
    const theirs = mine === recipe ? "It is the recipe's choice, too." : `The recipe of section 6 chooses ${named(cards[recipe])} (black ring), ${above(recipe)} the best.`;
    return `Your best card is ${named(cards[mine])}. Over all of its seeds it comes to ${whole[mine].toFixed(3)} nats, ${yours} ${theirs}`;
  }

  draw();
  model.on("change:runs", draw);
  return () => model.off("change:runs", draw);
}

export default { render };
