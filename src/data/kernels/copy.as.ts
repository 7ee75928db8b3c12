/** Copies a text 16 bytes at a time: up to 15 bytes more are read, and written. */
// @ts-ignore: decorator
@inline
export function copyText(to: usize, from: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 16) v128.store(to + i, v128.load(from + i));
}
