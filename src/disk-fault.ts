// The errors of disks, in words.
const FAULTS: Readonly<Record<string, string>> = {
  ENOSPC: "is full",
  EDQUOT: "is full: its quota is used up",
  EROFS: "is read-only",
  EACCES: "may not be written to by this user",
  EPERM: "does not permit it",
  EIO: "fails: it answers with an input/output error",
  ENXIO: "is gone",
  ENODEV: "is gone",
  ESTALE: "is gone: its server does not know it any more",
};

/**
 * What is wrong with the disk, as the end of a sentence that begins with the disk. Null if the
 * disk is not the cause of the error.
 */
export function diskFault(error: unknown): string | null {
  return FAULTS[(error as NodeJS.ErrnoException | null)?.code ?? ""] ?? null;
}
