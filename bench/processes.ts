import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { nodeArguments } from "../scripts/node-arguments.mjs";

interface Started {
  readonly address: string;
  /** The URL of its Redis, if it is a service. */
  readonly redis: string;
  readonly pid: number;
}

type Line = Record<string, unknown>;

/**
 * Programs of this repository that run beside a benchmark, each with its own data directory. They
 * are ended, and the directories removed, at the end of the benchmark.
 */
export class Processes implements AsyncDisposable {
  readonly #directory: string;
  readonly #children: ChildProcess[] = [];

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(): Promise<Processes> {
    return new Processes(await mkdtemp(join(tmpdir(), "rappel-bench-")));
  }

  /** Starts a program and returns the content of its "ready" line. `onLine` gets every line. */
  async start(args: string[], environment: NodeJS.ProcessEnv = {}, onLine?: (line: Line) => void): Promise<Started> {
    const data = join(this.#directory, String(this.#children.length));
    const own = { RAPPEL_DATA_DIR: data, RAPPEL_PORT: "0", RAPPEL_LOG_LEVEL: "warn" };
    const child = spawn(process.execPath, [...nodeArguments, ...args], {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      env: { ...process.env, ...own, ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#children.push(child);
    return await new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (text) => {
        const line = JSON.parse(text) as Line;
        onLine?.(line);
        if (line.msg === "ready") resolve({ ...(line as Line & Started), pid: child.pid! });
      });
      child.once("exit", () => reject(new Error(`${args[0]} ended before it was ready`)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null) continue;
      child.kill();
      await once(child, "exit");
    }
    await rm(this.#directory, { recursive: true });
  }
}
