// The models, fetched once and kept in this browser's cache until they are forgotten.

const NAME = "lora-lessons-alive";

// A cache that a page may not have (over plain http from another machine, or in a private window) is none.
const opened = () => globalThis.caches?.open(NAME).catch(() => undefined);

// The file at `url` as a Blob, from the cache or from the server. `heard` gets how many bytes have come. Throws where
// fewer or more came than `bytes`: nothing of it is kept then.
export async function fetched(url, bytes, heard, signal) {
  const cache = await opened(), kept = await cache?.match(url);
  if (kept) {
    const blob = await kept.blob();
    heard(bytes);
    if (blob.size === bytes) return blob;
    await cache.delete(url);
  }
  let blob;
  if (cache) {
    try {
      await cache.put(url, await counted(url, heard, signal));
      blob = await (await cache.match(url)).blob(); // on the disk, not in memory
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
    }
  }
  blob ??= await (await counted(url, heard, signal)).blob();
  if (blob.size === bytes) return blob;
  await cache?.delete(url);
  throw new Error(`${url}: ${blob.size} bytes came, and there should be ${bytes}`);
}

async function counted(url, heard, signal) { // the server's answer, which says how much of it has come
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  let come = 0;
  const count = new TransformStream({
    transform(piece, on) {
      heard((come += piece.length));
      on.enqueue(piece);
    },
  });
  const type = url.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
  return new Response(response.body.pipeThrough(count), { headers: { "content-type": type } });
}

// What an older site of this address left is deleted: `current` are the addresses that are still asked for.
export async function tidy(current) {
  const cache = await opened();
  for (const { url } of (await cache?.keys()) ?? []) if (!current.includes(url)) await cache.delete(url);
}

export const forget = () => globalThis.caches?.delete(NAME).catch(() => false);
