// What answers a ChatBox where no model runs: the turns that were recorded, and no others.

(globalThis.lora_lessons_answers ??= {}).chat_box = (model, { rows }) => {
  const AGAIN = "Flip the switch and ask the same again.";
  model.set("status", "Choose a question and ask it.");
  return () => {
    const { number, question, adapter } = model.get("asked");
    const turn = rows.find((one) => one.question === question && one.adapter === adapter);
    model.set("heard", number);
    if (turn) model.set("turns", [...model.get("turns"), turn]);
    model.set("status", turn ? AGAIN : "That question was not recorded: choose another.");
  };
};
