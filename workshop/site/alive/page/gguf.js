// What a GGUF says of itself before its numbers begin: enough to tell an adapter of this base from anything else.

const WIDTH = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }; // bytes of a value, by its kind
const STRING = 8, LIST = 9;
const BYTES = { 0: 4, 1: 2, 30: 2 }; // of a number in a tensor: F32, F16, BF16
const FIRST = 1 << 20; // bytes that are read at first; the vocabulary of a base takes more

const said = (words) => Object.assign(new Error(words), { said: words });

// {about: what the file says of itself, by key, tensors: {name: {shape, end}}}; throws an Error with a sentence, `said`.
export async function read(blob, name) {
  for (let size = FIRST; ; size *= 4) {
    const piece = new DataView(await blob.slice(0, size).arrayBuffer());
    if (piece.byteLength < 4 || piece.getUint32(0, true) !== 0x46554747) throw said(`${name} is not a GGUF file. “lora-lessons export gguf” writes one of an adapter.`);
    try {
      return parsed(piece);
    } catch (error) {
      if (!(error instanceof RangeError)) throw said(`${name} is damaged: write or copy it again.`);
      if (size >= blob.size) throw said(`${name} is cut off: it ends within its own description. Copy it again.`);
    }
  }
}

function parsed(piece) {
  let at = 4;
  const whole = () => Number(piece.getBigUint64((at += 8) - 8, true)), kind = () => piece.getUint32((at += 4) - 4, true);
  const text = () => {
    const length = whole(), from = at;
    if (from + length > piece.byteLength) throw new RangeError();
    at += length;
    return new TextDecoder().decode(new Uint8Array(piece.buffer, from, length));
  };
  const value = (of) => { // a string or a small whole number; others are passed over
    if (of === STRING) return text();
    if (of === LIST) {
      const each = kind(), count = whole();
      if (WIDTH[each]) at += WIDTH[each] * count;
      else for (let n = 0; n < count; n++) value(each);
      return undefined;
    }
    if (!WIDTH[of]) throw new Error("no kind of value");
    at += WIDTH[of];
    return of === 4 ? piece.getUint32(at - 4, true) : undefined;
  };
  kind(); // the version
  const count = whole(), entries = whole(), about = {}, tensors = {};
  for (let n = 0; n < entries; n++) about[text()] = value(kind());
  for (let n = 0; n < count; n++) {
    const name = text(), shape = Array.from({ length: kind() }, whole), bytes = BYTES[kind()] ?? 0, offset = whole();
    tensors[name] = { shape, end: offset + bytes * shape.reduce((product, one) => product * one, 1) };
  }
  const align = about["general.alignment"] ?? 32, start = Math.ceil(at / align) * align;
  for (const tensor of Object.values(tensors)) tensor.end += start;
  return { about, tensors };
}

// Why the adapter in `blob` cannot stand beside `base` (what `read` gave of it), in a sentence; "" where it can.
export async function refusal(blob, name, base, baseName) {
  let file;
  try {
    file = await read(blob, name);
  } catch (error) {
    if (error.said) return error.said;
    throw error;
  }
  const { about, tensors } = file, named = Object.keys(tensors);
  const AGAIN = `Export one that was trained on ${baseName}.`;
  if (about["general.type"] !== "adapter") return `${name} is a whole model, not an adapter. Choose the file whose name ends in “-lora.gguf”.`;
  if (about["adapter.type"] !== "lora") return `${name} is an adapter of another kind than LoRA, and llama.cpp loads no other.`;
  const architecture = base.about["general.architecture"];
  if (about["general.architecture"] !== architecture) return `${name} belongs to another base model: it is made for “${about["general.architecture"]}”, and this base is a “${architecture}”. ${AGAIN}`;
  const layers = new Set(named.map((one) => one.replace(/\.lora_[ab]$/, "")));
  for (const layer of layers) {
    const A = tensors[`${layer}.lora_a`], B = tensors[`${layer}.lora_b`], W = base.tensors[layer];
    if (!A || !B) return `${name} is damaged: ${layer} has only one of A and B. Export it again.`;
    if (!W) return `${name} belongs to another base model: it changes ${layer}, which this base does not have. ${AGAIN}`;
    const [k, d] = W.shape;
    if (A.shape[0] !== k || B.shape[1] !== d) return `${name} belongs to another base model: its ${layer} is ${B.shape[1]} × ${A.shape[0]}, and this base has ${d} × ${k}. ${AGAIN}`;
    if (A.shape[1] !== B.shape[0]) return `${name} is damaged: A and B of ${layer} differ in rank. Export it again.`;
  }
  if (!layers.size) return `${name} is empty: it changes no layer. Export it again.`;
  const end = Math.max(...Object.values(tensors).map((tensor) => tensor.end));
  return end > blob.size ? `${name} is cut off: it should have ${end.toLocaleString("en")} bytes and has ${blob.size.toLocaleString("en")}. Copy it again.` : "";
}
