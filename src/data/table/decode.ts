/** Decodes the bytes of a table to text. */
import { TextDecoder } from "node:util";
import type { Encoding } from "../reading.ts";

/**
 * The characters of Windows-1252 from 0x80 to 0x9f, where Latin-1 has control characters. Five of
 * them do not exist.
 */
const WINDOWS_1252 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

const MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** The text of bytes that were checked (survey.ts), in UTF-8 and without a byte order mark. */
export async function* inUtf8(bytes: AsyncIterable<Buffer>, encoding: Encoding): AsyncGenerator<Buffer> {
  if (encoding === "utf-8") return yield* withoutMark(bytes);
  const decoder = new Decoder(encoding);
  for await (const chunk of bytes) yield Buffer.from(decoder.decode(chunk));
  yield Buffer.from(decoder.end());
}

async function* withoutMark(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let start: Buffer | null = Buffer.alloc(0);
  for await (const chunk of bytes) {
    if (start === null) yield chunk;
    else {
      start = start.length === 0 ? chunk : Buffer.concat([start, chunk]);
      if (start.length < MARK.length) continue;
      yield start.subarray(0, MARK.length).equals(MARK) ? start.subarray(MARK.length) : start;
      start = null;
    }
  }
  if (start !== null) yield start;
}

/** Decodes bytes chunk by chunk as they come. A byte order mark at the beginning is left out. */
export class Decoder {
  readonly #decoder: TextDecoder | null;

  /** `fatal`: bytes that are not text throw an error. By default they become U+FFFD. */
  constructor(encoding: Encoding, fatal = false) {
    this.#decoder = encoding === "windows-1252" ? null : new TextDecoder(encoding, { fatal });
  }

  decode(bytes: Buffer): string {
    if (this.#decoder !== null) return this.#decoder.decode(bytes, { stream: true });
    // Not every version of Node decodes Windows-1252 correctly.
    const latin1 = bytes.toString("latin1");
    return latin1.replaceAll(/[\x80-\x9f]/g, (character) => WINDOWS_1252[character.charCodeAt(0) - 0x80]);
  }

  /** The rest of the text, if the bytes end within a character. */
  end(): string {
    return this.#decoder?.decode() ?? "";
  }
}
