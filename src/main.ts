// The process: reads its configuration, opens the service, says that it is ready, and waits for a
// reason to end.
//
// Every end takes the same path: SIGTERM, SIGINT, SIGHUP, a launcher that is gone (its IPC channel
// closes), an uncaught error, a Redis that is lost for good. An end may come while the service is
// still opening.
import { setTimeout as sleep } from "node:timers/promises";
import { loadConfig, type Config } from "./config.ts";
import { kernelsInUse } from "./engine/kernels/native.ts";
import { createLog, type Logger } from "./log.ts";
import { openService, type Service } from "./service.ts";
import { StartFailure } from "./start-failure.ts";

interface Ending {
  readonly reason: string;
  /** What went wrong; null if someone asked for the end. */
  readonly failure: Error | null;
}

function untilEnded(): { ended: Promise<Ending>; lose: (failure: Error) => void } {
  const { promise: ended, resolve: end } = Promise.withResolvers<Ending>();
  const lose = (failure: Error) => end({ reason: failure.message, failure });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"])
    process.on(signal, () => end({ reason: signal, failure: null }));
  process.on("disconnect", () => end({ reason: "the launcher is gone", failure: null }));
  process.on("uncaughtException", lose);
  return { ended, lose };
}

/** This line appears at every log level, because whoever started the process may wait for it. */
function printReady(log: Logger, config: Config, { address, redis }: Service): void {
  const { role } = config;
  const ready = { role, pid: process.pid, address, redis, kernels: kernelsInUse(config.kernels) };
  log.child({}, { level: "info" }).info(ready, "ready");
}

async function run(config: Config, log: Logger): Promise<number> {
  const { ended, lose } = untilEnded();
  const opening = openService(config, log, lose);
  const opened = await Promise.race([opening, ended.then(() => null)]);
  if (opened !== null) printReady(log, config, opened);

  const { reason, failure } = await ended;
  if (failure === null) log.info({ reason }, "shutting down");
  else log.fatal({ err: failure }, "shutting down");
  if (failure instanceof StartFailure) process.stderr.write(`${failure.message}\n`);
  const service = await Promise.race([opening.catch(() => null), sleep(config.shutdownMs, null, { ref: false })]);
  // A job may have caused an uncaught error.
  const broken = failure !== null && !(failure instanceof StartFailure);
  await service?.close({ broken });
  return failure === null ? 0 : 1;
}

async function main(): Promise<number> {
  // Applies to every file from here on, also to those of the processes that this one starts
  // (src/data-directory.ts).
  process.umask(0o077);
  try {
    const config = loadConfig(process.env, process.argv.slice(2));
    const log = createLog(config.logLevel);
    for (const warning of config.warnings) log.warn(warning);
    return await run(config, log);
  } catch (error) {
    // A StartFailure says everything itself. Any other error is a fault of ours, and its stack
    // helps.
    const text = error instanceof StartFailure ? error.message : `Rappel could not start: ${(error as Error).stack}`;
    process.stderr.write(`${text}\n`);
    return 1;
  }
}

process.exit(await main());
