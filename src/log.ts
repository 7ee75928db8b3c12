import { pino, type Logger } from "pino";
import pretty from "pino-pretty";

export type { Logger };

/**
 * What the log says about an error. Other properties may be secret or large: an error of Redis
 * holds the command with all its arguments, such as a refused password or the bytes of a
 * checkpoint.
 */
export const serializers = {
  err(error: Error) {
    const { type, message, stack, code } = pino.stdSerializers.err(error);
    return { type, message, stack, ...(code === undefined ? {} : { code: code as unknown }) };
  },
};

/**
 * Makes the log: one JSON line per event on stdout, or lines for people if stdout is a terminal.
 * The fields `request_id`, `job_id` and `run` always say what an event belongs to. Lines from a
 * lane (runner/lane.ts) say so in the field `lane`.
 */
export function createLog(level: string): Logger {
  const options = {
    level,
    base: undefined,
    serializers,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // The log is written synchronously, so that nothing is lost when the process exits or is killed.
  if (process.stdout.isTTY) return pino(options, pretty({ sync: true }));
  return pino(options, pino.destination({ fd: 1, sync: true }));
}
