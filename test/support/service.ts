// The service as a real process, started as its users start it.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { nodeArguments } from "../../scripts/node-arguments.mjs";
import { testServer } from "./redis.ts";

const root = new URL("../../", import.meta.url);

export interface Ready {
  msg: "ready";
  role: string;
  pid: number;
  address: string | null;
  redis: string;
  kernels: string;
}

export interface ServiceProcess {
  /** The process that was spawned: the service, or its launcher. */
  readonly process: ChildProcess;
  /** Rejects, with what stderr says, if the process ends before it is ready. */
  readonly ready: Promise<Ready>;
  /** Exit code, and all that was written to stderr. */
  readonly ended: Promise<{ code: number | null; stderr: string }>;
  /** The log so far. */
  readonly log: Record<string, unknown>[];
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; stderr: string }>;
}

export interface ServiceOptions {
  env: NodeJS.ProcessEnv;
  args?: string[];
  /** Through scripts/run.mjs, as `npm start` does, or as the container does. */
  launcher?: boolean;
  /** A command that runs the service, such as `unshare -p`. */
  within?: string[];
}

/**
 * The environment is this process', without the settings of the service, plus `env`. The port is
 * any that is free.
 */
export async function startService({
  env,
  args = [],
  launcher = false,
  within = [],
}: ServiceOptions): Promise<ServiceProcess> {
  // Fetched once for all tests, if need be, before a test's own time limits count.
  await testServer();
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("RAPPEL_") && name !== "REDIS_URL");
  const program = launcher ? ["scripts/run.mjs", "src/main.ts"] : [...nodeArguments, "src/main.ts"];
  const [command, ...words] = [...within, process.execPath, ...program, ...args];
  const child = spawn(command, words, {
    cwd: fileURLToPath(root),
    env: { ...Object.fromEntries(inherited), RAPPEL_PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);

  let stderr = "";
  child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
  const ended = once(child, "close").then(([code]) => {
    process.off("exit", kill);
    return { code: code as number | null, stderr };
  });
  const log: Record<string, unknown>[] = [];
  const ready = new Promise<Ready>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const event = JSON.parse(line) as Record<string, unknown>;
      log.push(event);
      if (event.msg === "ready") resolve(event as unknown as Ready);
    });
    void ended.then(({ code }) => reject(new Error(`it ended with ${code} before it was ready: ${stderr}`)));
  });
  // A test that expects a failed start looks at `ended` only.
  ready.catch(() => undefined);
  return {
    process: child,
    ready,
    ended,
    log,
    stop(signal = "SIGTERM") {
      child.kill(signal);
      return ended;
    },
  };
}
