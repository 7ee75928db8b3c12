// How long single requests block the event loop of the api: the longest stretch for each of a
// number of hostile requests.
import { Redis } from "ioredis";
import { hostile, prepare, type Hostile, type Target } from "./hostile.ts";
import { Processes } from "./processes.ts";

/** What node loads before the service's own program. */
export const MONITOR = ["--import", "./bench/stall-monitor.ts"];

export interface Stall {
  readonly request: string;
  readonly status: number;
  readonly stall_ms: number;
  readonly ms: number;
}

/** `longestStall` asks the monitor, which begins anew with each answer. */
export async function measure(
  { name, ask }: Hostile,
  target: Target,
  longestStall: () => Promise<number>,
): Promise<Stall> {
  await longestStall();
  const asked = ask(target);
  const began = performance.now();
  const answer = await asked.catch((error: unknown) => error as Error);
  const status = answer instanceof Response ? answer.status : 0;
  if (answer instanceof Response) await answer.arrayBuffer().catch(() => undefined);
  const ms = Math.round(performance.now() - began);
  // What the service has still to do for it comes before this.
  await fetch(`${target.address}/healthz`);
  return { request: name, status, stall_ms: Math.round(await longestStall()), ms };
}

export async function benchStalls(): Promise<void> {
  await using processes = await Processes.create();
  let told = Promise.withResolvers<number>();
  const started = await processes.start([...MONITOR, "src/main.ts"], {}, ({ msg, ms }) => {
    if (msg === "longest stall") told.resolve(Number(ms));
  });
  const longestStall = async () => {
    told = Promise.withResolvers();
    process.kill(started.pid, "SIGUSR2");
    return await told.promise;
  };
  const redis = new Redis(started.redis);
  const target = await prepare(started.address, redis);
  const rows: Stall[] = [];
  for (const request of hostile) {
    const stall = await measure(request, target, longestStall);
    rows.push(stall);
    const { stall_ms, status, ms } = stall;
    console.log(`${String(stall_ms).padStart(7)} ms  ${status}  ${request.name} (${ms} ms)`);
  }
  redis.disconnect();
  console.log(JSON.stringify({ bench: "stalls", rows }));
}
