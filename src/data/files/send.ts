/** One attempt to send a file over HTTP. */
import { stat } from "node:fs/promises";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";

/** A receiver that takes nothing for so long has gone. */
const STALLED_MS = 60_000;

export interface Sending {
  readonly url: string;
  readonly authorization: string;
  readonly path: string;
  /** Called whenever more bytes were taken. */
  sent(): void;
}

/** @throws Error if it is not taken */
export async function send({ url, authorization, path, sent }: Sending): Promise<void> {
  const { size } = await stat(path);
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(new Error("nothing was taken for a minute")), STALLED_MS).unref();
  const body = createReadStream(path, { highWaterMark: 2 ** 18 }).on("data", () => {
    timer.refresh();
    sent();
  });
  try {
    const headers = { authorization, "content-type": "application/octet-stream", "content-length": String(size) };
    const init = { method: "PUT", headers, body: Readable.toWeb(body), duplex: "half", signal: stalled.signal };
    const answer = await fetch(url, init as RequestInit);
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
}
