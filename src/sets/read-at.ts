import type { FileHandle } from "node:fs/promises";

/** Bytes of a file. @throws `cutOff` if the file ends before */
export async function readAt(
  file: FileHandle,
  { at, bytes }: { readonly at: number; readonly bytes: number },
  cutOff: Error,
): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  let done = 0;
  while (done < bytes) {
    const { bytesRead } = await file.read(buffer, done, bytes - done, at + done);
    if (bytesRead === 0) throw cutOff;
    done += bytesRead;
  }
  return buffer;
}
