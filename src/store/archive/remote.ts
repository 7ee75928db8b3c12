/**
 * The archive as a worker on another host reads it: it asks the API for bytes of segments, with a
 * ticket (store/tickets.ts). What arrives is checked as what is read from a disk is.
 */
import { OutOfReach } from "../errors.ts";
import type { Tickets } from "../tickets.ts";
import type { Source } from "./archive.ts";
import type { Read } from "./segment.ts";

/** How many bytes one request may ask for. */
export const REQUEST_BYTES = 4 * 2 ** 20;
const TIMEOUT_MS = 30_000;

/** What stands for the owner in a ticket that opens a segment. */
export const ARCHIVE = "archive";

export class RemoteArchive implements Source {
  readonly #apiUrl: string;
  readonly #tickets: () => Tickets;

  /** @param tickets called when a ticket is needed */
  constructor(apiUrl: string, tickets: () => Tickets) {
    this.#apiUrl = apiUrl;
    this.#tickets = tickets;
  }

  async read<T>(segment: string, use: (read: Read) => Promise<T>): Promise<T> {
    return await use(async (offset, bytes) => {
      const pieces: Buffer[] = [];
      for (let done = 0; done < bytes;) {
        const wanted = Math.min(REQUEST_BYTES, bytes - done);
        const piece = await this.#fetch(segment, offset + done, wanted);
        pieces.push(piece);
        done += piece.byteLength;
        if (piece.byteLength < wanted) break;
      }
      return Buffer.concat(pieces);
    });
  }

  async #fetch(segment: string, offset: number, bytes: number): Promise<Buffer> {
    const ticket = await this.#tickets().issue(ARCHIVE, segment);
    const base = this.#apiUrl.endsWith("/") ? this.#apiUrl : `${this.#apiUrl}/`;
    const url = new URL(`internal/archive/${segment}?offset=${offset}&bytes=${bytes}`, base);
    try {
      const headers = { authorization: `Bearer ${ticket}` };
      const response = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!response.ok) throw new Error(`it answered ${response.status}`);
      return Buffer.from(await response.arrayBuffer());
    } catch (error) {
      throw new OutOfReach(`${this.#apiUrl} does not give its bytes: ${(error as Error).message}`, { cause: error });
    }
  }
}
