// llama.cpp in a worker of its own: the base with any number of adapters beside it, a scale for each with every question.

export const LONGEST = 64; // tokens of an answer
const SETTINGS = {
  n_ctx: 1024, n_batch: 128, n_ubatch: 128, n_parallel: 1, // what is held beside the weights grows with these
  n_threads: 1, n_gpu_layers: 0, jinja: true, warmup: false,
};
const silent = { debug() {}, log() {}, warn() {}, error() {} };
const shard = (n, of) => `models/model-${String(n).padStart(5, "0")}-of-${String(of).padStart(5, "0")}.gguf`;

export class Engine {
  names = []; // of the adapters, in the order in which llama.cpp numbers them
  #model = null;
  #wasm;

  constructor(wasm) { this.#wasm = wasm; }

  // The base and these adapters, {name: Blob}; what was loaded before is let go. wllama 3.13 loads adapters with the base
  // alone, and calls its files by their places; a Blob with a name would be sorted by it.
  async load(base, adapters) {
    this.leave();
    const { Wllama } = await import("./wllama.js");
    const blobs = [base, ...Object.values(adapters)].map((blob) => blob.slice());
    this.names = Object.keys(adapters);
    const wasm = URL.createObjectURL(this.#wasm);
    const model = (this.#model = new Wllama({ default: wasm }, { suppressNativeLog: true, logger: silent }));
    model.setCompat(null); // else browsers that it takes for too old are sent elsewhere for another file
    await model.loadModel(blobs, { ...SETTINGS, lora_adapters: this.names.map((_, n) => ({ path: shard(n + 2, blobs.length), scale: 0 })) });
    URL.revokeObjectURL(wasm);
  }

  // The most likely answer, with each adapter at its scale (0 unless named): {text, whole}. `heard` gets what is there so far.
  async answer(question, scales, heard, signal) {
    let text = "", ended = "";
    await this.#model.createChatCompletion({
      messages: [{ role: "user", content: question }],
      lora: this.names.map((name, id) => ({ id, scale: scales[name] ?? 0 })),
      max_tokens: LONGEST, temperature: 0, cache_prompt: false, // what is kept of a text was computed with other scales
      stream: true, abortSignal: signal,
      onData: ({ choices: [choice] }) => {
        text += choice?.delta?.content ?? "";
        ended = choice?.finish_reason ?? ended;
        heard(text);
      },
    });
    return { text, whole: ended !== "length" };
  }

  leave() { // ends the worker, and with it all that it holds
    this.#model?.exit().catch(() => {});
    this.#model = null;
  }
}
