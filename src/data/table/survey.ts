/*
 * Finds the encoding of a table before it is parsed. It reads all bytes, because the only one that
 * is not UTF-8 may be near the end.
 *
 * - A byte order mark gives the encoding.
 * - Bytes of which nearly every other one is zero are UTF-16.
 * - Bytes that are valid UTF-8 to the end are UTF-8.
 * - If no character beyond ASCII is valid UTF-8, and each byte is a character in Windows-1252, that
 *   is the encoding.
 * - Everything else is refused, with its line: a file of which only some lines are UTF-8 (either
 *   guess would damage the other lines), a file that ends within a character, and a binary file.
 *
 * A declared encoding is not detected but checked, so that the parser may rely on it.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { InvalidDataset } from "../dataset.ts";
import type { Encoding, ReadingOptions } from "../reading.ts";
import { Decoder } from "./decode.ts";
import { refuseOtherFormats } from "./formats.ts";

/** Longer than any row may be, in any encoding. */
const MAX_LINE_BYTES = 2 ** 24;
/** How many bytes are searched for zeros, and then for the separator. */
const START_BYTES = 2 ** 20;
const [LF, CR] = [0x0a, 0x0d];

const marks: readonly (readonly [Encoding, Buffer])[] = [
  ["utf-8", Buffer.from([0xef, 0xbb, 0xbf])],
  ["utf-16le", Buffer.from([0xff, 0xfe])],
  ["utf-16be", Buffer.from([0xfe, 0xff])],
];

export interface Survey {
  readonly encoding: Encoding;
  /** The first megabyte, or the whole file if it is smaller. */
  readonly start: Buffer;
  readonly isWhole: boolean;
  /** Of the whole file. */
  readonly bytes: number;
}

/**
 * Each chunk is used only until the next one comes.
 * @throws InvalidDataset
 */
export async function survey(chunked: AsyncIterable<Buffer>, declared: ReadingOptions["encoding"]): Promise<Survey> {
  const chunks = chunked[Symbol.asyncIterator]();
  try {
    const start = await take(chunks, START_BYTES);
    refuseOtherFormats(start);
    const check = checkFor(start, declared);
    check.push(start);
    let bytes = start.length;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
      bytes += next.value.length;
      check.push(next.value);
    }
    return { encoding: check.end(), start, isWhole: bytes === start.length, bytes };
  } finally {
    await chunks.return?.();
  }
}

async function take(chunks: AsyncIterator<Buffer>, bytes: number): Promise<Buffer> {
  const taken: Buffer[] = [];
  for (let left = bytes; left > 0;) {
    const next = await chunks.next();
    if (next.done) break;
    taken.push(Buffer.from(next.value));
    left -= next.value.length;
  }
  return Buffer.concat(taken);
}

/** Checks bytes chunk by chunk. Both methods throw InvalidDataset. */
interface Check {
  push(chunk: Buffer): void;
  end(): Encoding;
}

function checkFor(start: Buffer, declared: ReadingOptions["encoding"]): Check {
  const marked = marks.find(([, mark]) => start.subarray(0, mark.length).equals(mark))?.[0] ?? null;
  if (marked !== null && declared !== null && declared !== marked && !(declared === "utf-16" && marked !== "utf-8")) {
    throw new InvalidDataset(
      `The file begins with the byte order mark of ${marked}, but ${declared} is declared. Leave ?encoding= out.`,
      1,
    );
  }
  const known = marked ?? (declared === "utf-16" ? (sixteenBit(start) ?? "utf-16le") : declared) ?? sixteenBit(start);
  return known === "utf-16le" || known === "utf-16be" ? new SixteenBitCheck(known) : new ByteCheck(known);
}

/** A table in UTF-16 is mostly ASCII: separators, digits, line breaks. */
function sixteenBit(start: Buffer): Encoding | null {
  if (!start.includes(0)) return null;
  const zeros = [0, 0];
  for (let i = 0; i < start.length; i++) if (start[i] === 0) zeros[i % 2]++;
  const [even, odd] = zeros;
  const most = Math.max(even, odd);
  // One or two zeros could be an accident. Characters whose usual byte is not zero may have a zero
  // in the other byte.
  if (most < 3 || most < start.length / 10 || Math.min(even, odd) > most / 10) return null;
  return odd > even ? "utf-16le" : "utf-16be";
}

/** Lines in UTF-8 or Windows-1252. A line is checked when it is complete. */
class ByteCheck implements Check {
  readonly #declared: Encoding | null;
  #rest: Buffer = Buffer.alloc(0);
  #line = 1;
  /** The first line with each fault. */
  #notUtf8: number | null = null;
  #notWindows: number | null = null;
  /** Whether there are lines in UTF-8 that are not only ASCII. */
  #isPartlyUtf8 = false;

  constructor(declared: Encoding | null) {
    this.#declared = declared;
  }

  push(chunk: Buffer): void {
    const first = chunk.indexOf(LF) + 1;
    if (first > 0) {
      this.#lines(Buffer.concat([this.#rest, chunk.subarray(0, first)]));
      const end = chunk.lastIndexOf(LF) + 1;
      this.#lines(chunk.subarray(first, end));
      this.#rest = Buffer.from(chunk.subarray(end));
    } else {
      const text = Buffer.concat([this.#rest, chunk]);
      const end = text.lastIndexOf(CR) + 1;
      this.#lines(text.subarray(0, end));
      this.#rest = text.subarray(end);
    }
    if (this.#rest.length > MAX_LINE_BYTES) {
      throw new InvalidDataset(`This line has more than ${MAX_LINE_BYTES} bytes. Is the file a table?`, this.#line);
    }
  }

  end(): Encoding {
    const rest = this.#rest;
    const isCutOff = this.#notUtf8 === null && endsWithinCharacter(rest) && this.#declared !== "windows-1252";
    this.#lines(rest);
    if (isCutOff) throw this.#fault(this.#line, "ends within a character of UTF-8. Is the file cut off?");
    if (this.#declared === "windows-1252") {
      if (this.#notWindows !== null)
        throw this.#fault(this.#notWindows, "holds a byte that Windows-1252 does not have.");
      return "windows-1252";
    }
    if (this.#notUtf8 === null) return "utf-8";
    const remedy = "Save the file as UTF-8, or use ?encoding=windows-1252 if it is in that encoding.";
    if (this.#declared === "utf-8") throw this.#fault(this.#notUtf8, `is not UTF-8. ${remedy}`);
    if (this.#isPartlyUtf8) throw this.#fault(this.#notUtf8, `is not UTF-8, but other lines are. ${remedy}`);
    if (this.#notWindows !== null)
      throw this.#fault(this.#notWindows, "is neither UTF-8 nor Windows-1252. Save the file as UTF-8.");
    return "windows-1252";
  }

  #lines(text: Buffer): void {
    const isKnown = !text.includes(0) && (isAscii(text) || (this.#declared !== "windows-1252" && isUtf8(text)));
    const lineBreak = text.includes(LF) ? LF : CR;
    if (isKnown) {
      this.#isPartlyUtf8 ||= !isAscii(text);
      for (let at = text.indexOf(lineBreak); at >= 0; at = text.indexOf(lineBreak, at + 1)) this.#line++;
      return;
    }
    let begin = 0;
    while (begin < text.length) {
      const end = text.indexOf(lineBreak, begin) + 1 || text.length;
      this.#oneLine(text.subarray(begin, end));
      if (text[end - 1] === lineBreak) this.#line++;
      begin = end;
    }
  }

  #oneLine(line: Buffer): void {
    if (line.includes(0))
      throw this.#fault(
        this.#line,
        "holds a NUL byte, so the file is no CSV table. Save it as CSV, Parquet, Arrow, NPY or NPZ.",
      );
    if (isAscii(line)) return;
    if (isUtf8(line)) this.#isPartlyUtf8 = true;
    else this.#notUtf8 ??= this.#line;
    if (line.some((byte) => UNUSED_IN_WINDOWS_1252.has(byte))) this.#notWindows ??= this.#line;
  }

  #fault(line: number, what: string): InvalidDataset {
    return new InvalidDataset(`This line ${what}`, line);
  }
}

const UNUSED_IN_WINDOWS_1252 = new Set([0x81, 0x8d, 0x8f, 0x90, 0x9d]);

/** Whether all of it is UTF-8 except the last character, which is incomplete. */
function endsWithinCharacter(text: Buffer): boolean {
  for (let missing = 1; missing <= 3 && missing <= text.length; missing++) {
    const start = text.length - missing;
    if (text[start] >= 0x80 && text[start] < 0xc0) continue;
    const length = text[start] >= 0xf0 ? 4 : text[start] >= 0xe0 ? 3 : text[start] >= 0xc2 ? 2 : 1;
    return missing < length && isUtf8(text.subarray(0, start));
  }
  return false;
}

class SixteenBitCheck implements Check {
  readonly #encoding: "utf-16le" | "utf-16be";
  readonly #strict: Decoder;
  /** Finds the place where the strict decoder stops. */
  readonly #lenient: Decoder;
  #line = 1;

  constructor(encoding: "utf-16le" | "utf-16be") {
    this.#encoding = encoding;
    this.#strict = new Decoder(encoding, true);
    this.#lenient = new Decoder(encoding);
  }

  push(chunk: Buffer): void {
    const text = this.#lenient.decode(chunk);
    try {
      this.#strict.decode(chunk);
    } catch {
      throw this.#fault(text, "\uFFFD", "holds bytes that are not a character of UTF-16. Is the file binary?");
    }
    if (text.includes("\0")) throw this.#fault(text, "\0", "holds a NUL character. Is the file binary?");
    this.#line += breaks(text);
  }

  end(): Encoding {
    try {
      this.#strict.end();
    } catch {
      throw this.#fault("", "", "ends within a character of UTF-16. Is the file cut off?");
    }
    return this.#encoding;
  }

  #fault(text: string, at: string, what: string): InvalidDataset {
    return new InvalidDataset(`This line ${what}`, this.#line + breaks(text.slice(0, text.indexOf(at))));
  }
}

function breaks(text: string): number {
  const lineBreak = text.includes("\n") ? "\n" : "\r";
  let found = 0;
  for (let at = text.indexOf(lineBreak); at >= 0; at = text.indexOf(lineBreak, at + 1)) found++;
  return found;
}
