import { pino, type Logger } from "pino";
import pretty from "pino-pretty";

export type { Logger };

/**
 * What is told of an error. Others of its properties may be secret or large: an error of Redis
 * holds the command with all its arguments, the password of a refused one and the bytes of a
 * checkpoint among them.
 */
export const serializers = {
  err(error: Error) {
    const { type, message, stack, code } = pino.stdSerializers.err(error);
    return { type, message, stack, ...(code === undefined ? {} : { code: code as unknown }) };
  },
};

/**
 * One JSON line an event on stdout, for people only if stdout is a terminal. What an event belongs
 * to is said in the fields `request_id`, `job_id` and `run`, whoever logs it.
 */
export function createLog(level: string): Logger {
  const options = {
    level,
    base: undefined,
    serializers,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Written synchronously: a process that exits or is killed has said what it had to say.
  if (process.stdout.isTTY) return pino(options, pretty({ sync: true }));
  return pino(options, pino.destination({ fd: 1, sync: true }));
}
