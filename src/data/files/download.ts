/**
 * One attempt to download a file over HTTP. If it breaks off, the part that came stays on disk, and
 * the next attempt continues it.
 */
import { writeFile } from "node:fs/promises";
import { OpenFile } from "./open-file.ts";

/** The server says that it has no such file. */
export class NotThere extends Error {}

/** At least `LEAST_BYTES` must come in this time. A slower download would never end. */
const STALLED_MS = 20_000;
const LEAST_BYTES = 16_384;

export interface Download {
  readonly url: string;
  readonly authorization: string;
  /** Where the file is written. */
  readonly path: string;
  /** Replaces `STALLED_MS`. */
  readonly stalledMs?: number;
  /**
   * The server's name for the version of a file with this beginning; null if the beginning is still
   * too short.
   */
  versionOf(start: Buffer): string | null;
  /** Called whenever more bytes have come. */
  arrived(): void;
}

/** @throws NotThere, or Error if it breaks off or stalls */
export async function download(wanted: Download): Promise<void> {
  const { url, authorization, path, arrived, stalledMs = STALLED_MS } = wanted;
  const stalled = new AbortController();
  const timer = setTimeout(
    () => stalled.abort(new Error(`less than ${LEAST_BYTES} bytes came in ${stalledMs / 1000} seconds`)),
    stalledMs,
  ).unref();
  try {
    // A download with a content encoding could not be continued.
    const headers = { authorization, "accept-encoding": "identity", ...(await rest(wanted)) };
    const { status, body } = await fetch(url, { headers, signal: stalled.signal });
    if (body === null || (status !== 200 && status !== 206)) {
      await body?.cancel();
      const refused = `it answered ${status}`;
      throw status === 404 ? new NotThere(refused) : new Error(refused);
    }
    const chunks = watched(body, () => {
      timer.refresh();
      arrived();
    });
    // The server may start from the beginning. It does so if it has another version by now.
    await writeFile(path, chunks, { flag: status === 206 ? "a" : "w", flush: true });
  } finally {
    clearTimeout(timer);
  }
}

/** The headers that ask for the missing part of the version whose first part is here. */
async function rest({ path, versionOf }: Download): Promise<Record<string, string>> {
  const begun = await OpenFile.open(path);
  if (begun === null) return {};
  await begun.close();
  const version = versionOf(begun.start);
  return version === null ? {} : { range: `bytes=${begun.bytes}-`, "if-range": `"${version}"` };
}

async function* watched(body: AsyncIterable<Uint8Array>, alive: () => void): AsyncGenerator<Uint8Array> {
  let sinceAlive = 0;
  for await (const chunk of body) {
    sinceAlive += chunk.length;
    if (sinceAlive >= LEAST_BYTES) {
      alive();
      sinceAlive = 0;
    }
    yield chunk;
  }
}
