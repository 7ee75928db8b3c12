import { open } from "node:fs/promises";

/** Where the bytes of a file come from: the disk, or memory. */
export interface Source {
  readonly size: number;
  read(begin: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** @param from its path, or its bytes */
export async function openSource(from: string | Buffer): Promise<Source> {
  if (typeof from !== "string")
    return {
      size: from.length,
      read: async (begin, end) => from.subarray(begin, end),
      close: async () => undefined,
    };
  const file = await open(from);
  const { size } = await file.stat();
  return {
    size,
    async read(begin, end) {
      const bytes = new Uint8Array(end - begin);
      await file.read(bytes, 0, bytes.length, begin);
      return bytes;
    },
    close: () => file.close(),
  };
}
