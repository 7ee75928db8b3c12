/** One attempt to get a file over HTTP. What it got stays on disk if it breaks off, and the next attempt goes on from there. */
import { stat, writeFile } from "node:fs/promises";

/** The server says that it has no such file. */
export class NotThere extends Error {}

/** In which at least so much must come: a download that is slower than that would never end. */
const STALLED_MS = 20_000;
const LEAST_BYTES = 16_384;

export interface Download {
  readonly url: string;
  readonly authorization: string;
  /** Where it goes. */
  readonly path: string;
  /** How large the whole is. */
  readonly bytes: number;
  /** Another one than 20 s. */
  readonly stalledMs?: number;
  /** Called whenever more of it has come. */
  arrived(): void;
}

/**
 * @throws NotThere, or Error if it breaks off, stands still or is not of the size it should have
 */
export async function download(wanted: Download): Promise<void> {
  const { url, authorization, path, bytes, arrived, stalledMs = STALLED_MS } = wanted;
  const have = await sizeOf(path);
  if (have === bytes) return;
  const stalled = new AbortController();
  const timer = setTimeout(
    () => stalled.abort(new Error(`less than ${LEAST_BYTES} bytes came in ${stalledMs / 1000} seconds`)),
    stalledMs,
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
    const chunks = exactly(body, bytes - (resumed ? have : 0), () => {
      timer.refresh();
      arrived();
    });
    await writeFile(path, chunks, { flag: resumed ? "a" : "w", flush: true });
  } finally {
    clearTimeout(timer);
  }
}

async function* exactly(body: AsyncIterable<Uint8Array>, bytes: number, alive: () => void): AsyncGenerator<Uint8Array> {
  let left = bytes;
  let sinceAlive = 0;
  for await (const chunk of body) {
    sinceAlive += chunk.length;
    if (sinceAlive >= LEAST_BYTES) {
      alive();
      sinceAlive = 0;
    }
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
