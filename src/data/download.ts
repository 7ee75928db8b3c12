/** One attempt to get a file over HTTP. What it got stays on disk if it breaks off, and the next attempt goes on from there. */
import { stat, writeFile } from "node:fs/promises";

/** The server says that it has no such file. */
export class NotThere extends Error {}

/** After which a connection on which nothing comes is given up. */
const STALLED_MS = 20_000;

export interface Download {
  readonly url: string;
  readonly authorization: string;
  /** Where it goes. */
  readonly path: string;
  /** How large the whole is. */
  readonly bytes: number;
}

/** @throws NotThere, or Error if it breaks off or is not of the size it should have */
export async function download({ url, authorization, path, bytes }: Download): Promise<void> {
  const have = await sizeOf(path);
  if (have === bytes) return;
  const stalled = new AbortController();
  const timer = setTimeout(
    () => stalled.abort(new Error(`nothing came for ${STALLED_MS / 1000} seconds`)),
    STALLED_MS,
  ).unref();
  try {
    const headers = { authorization, range: `bytes=${have}-` };
    const { status, body } = await fetch(url, { headers, signal: stalled.signal });
    if (body === null || (status !== 200 && status !== 206)) {
      await body?.cancel();
      const refused = `it answered ${status}`;
      throw status === 404 ? new NotThere(refused) : new Error(refused);
    }
    // A server may ignore the range and begin anew.
    const resumed = status === 206;
    const chunks = exactly(body, bytes - (resumed ? have : 0), () => timer.refresh());
    await writeFile(path, chunks, { flag: resumed ? "a" : "w", flush: true });
  } finally {
    clearTimeout(timer);
  }
}

async function* exactly(body: AsyncIterable<Uint8Array>, bytes: number, alive: () => void): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    alive();
    left -= chunk.length;
    if (left < 0) throw new Error("it sent more than the dataset has");
    yield chunk;
  }
  if (left > 0) throw new Error(`it broke off ${left} bytes before the end`);
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
