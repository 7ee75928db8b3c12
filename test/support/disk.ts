// A disk that can be filled, made read-only and made larger: a file system in memory, which takes
// root to mount.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, type TestContext } from "vitest";

export interface SmallDisk {
  readonly directory: string;
  /** Takes all the room that is left. */
  fill(): void;
  resize(size: string): void;
  readOnly(on: boolean): void;
}

/**
 * It is there until the test is over. Skips the test, with the reason, where that is not permitted.
 */
export function smallDisk({ skip }: Pick<TestContext, "skip">, size: string): SmallDisk {
  const directory = mkdtempSync(join(tmpdir(), "rappel-disk-"));
  const run = (...command: [string, ...string[]]) => execFileSync(command[0], command.slice(1), { stdio: "pipe" });
  const remount = (option: string) => run("mount", "-o", `remount,${option}`, directory);
  try {
    run("mount", "-t", "tmpfs", "-o", `size=${size}`, "rappel-test", directory);
  } catch (error) {
    const reason = `no file system can be mounted here: ${String((error as { stderr?: Buffer }).stderr ?? error).trim()}`;
    rmdirSync(directory);
    process.stderr.write(`skipped a test of full disks: ${reason}\n`);
    skip(reason);
  }
  onTestFinished(() => {
    run("umount", "--lazy", directory);
    rmdirSync(directory);
  });
  return {
    directory,
    fill() {
      for (const bytes of [65_536, 4096]) {
        try {
          for (let i = 0; ; i++) writeFileSync(join(directory, `filler-${bytes}-${i}`), Buffer.alloc(bytes));
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        }
      }
    },
    resize: (size) => void remount(`size=${size}`),
    readOnly: (on) => void remount(on ? "ro" : "rw"),
  };
}
