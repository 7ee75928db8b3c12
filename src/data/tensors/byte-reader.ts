/** Takes bytes that arrive in chunks, as many as are wanted at a time. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);
  #isOver = false;

  constructor(bytes: AsyncIterable<Buffer>) {
    this.#chunks = bytes[Symbol.asyncIterator]();
  }

  /** The next bytes, without taking them. Fewer if the end comes first. */
  async peek(length: number): Promise<Buffer> {
    while (this.#chunk.length < length && (await this.#more()));
    return this.#chunk.subarray(0, length);
  }

  /** The next bytes. Fewer if the end comes first. */
  async take(length: number): Promise<Buffer> {
    const taken = await this.peek(length);
    this.#chunk = this.#chunk.subarray(taken.length);
    return taken;
  }

  /** Fills a buffer of its own size. Returns how many bytes there were. */
  async readInto(bytes: Uint8Array): Promise<number> {
    let done = 0;
    while (done < bytes.length) {
      if (this.#chunk.length === 0 && !(await this.#more())) break;
      const part = this.#chunk.subarray(0, bytes.length - done);
      bytes.set(part, done);
      this.#chunk = this.#chunk.subarray(part.length);
      done += part.length;
    }
    return done;
  }

  /** All the rest. */
  async rest(): Promise<Buffer> {
    const chunks = [this.#chunk];
    for (let next = await this.#chunks.next(); !next.done; next = await this.#chunks.next()) chunks.push(next.value);
    this.#isOver = true;
    this.#chunk = Buffer.alloc(0);
    return Buffer.concat(chunks);
  }

  /** Whether all bytes were taken. */
  async isAtEnd(): Promise<boolean> {
    return (await this.peek(1)).length === 0;
  }

  /** Lets go of where the bytes come from. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #more(): Promise<boolean> {
    if (this.#isOver) return false;
    const next = await this.#chunks.next();
    if (next.done) {
      this.#isOver = true;
      return false;
    }
    this.#chunk = this.#chunk.length === 0 ? next.value : Buffer.concat([this.#chunk, next.value]);
    return true;
  }
}
