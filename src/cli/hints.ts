/** What helps after an error. The service speaks of requests; this speaks of the command line. */
import { RequestRefused, ServiceUnreachable } from "../client/errors.ts";

/** A way to read a table, as messages name it: `?comment=%23`, `?columns={"price":"numeric"}`. */
const READING = /\?(\w+)=(\{[^{}]*\}|\[[^[\]]*\]|%\w\w|[.,]|[\w-]+)/g;

/** Null if there is nothing to add to the message. */
export function hintOn(error: unknown): string | null {
  if (error instanceof ServiceUnreachable) return "Start one with npm start, or name another with --url.";
  if (!(error instanceof RequestRefused)) return null;
  if (error.status === 401) return "Give the key with --key, or in RAPPEL_API_KEY.";
  if (error.status === 404 && error.message.endsWith(" job.")) return "rappel jobs lists yours.";
  if (error.status === 404 && error.message.endsWith(" dataset.")) return "rappel datasets lists yours.";
  if (error.problem?.errors?.some(({ pointer }) => pointer === "/data/dataset"))
    return "--data <file> uploads a table, and puts its id there.";
  return hintOnReading(error.message);
}

/** How to say on the command line what a message wants in the query of an upload. */
export function hintOnReading(message: string): string | null {
  const options = [...message.matchAll(READING)].map(([, name, value]) => `--read ${quoted(name, value)}`);
  return options.length === 0 ? null : `Here that is ${[...new Set(options)].join(" or ")}.`;
}

function quoted(name: string, value: string): string {
  const option = `${name}=${value.startsWith("%") ? decodeURIComponent(value) : value}`;
  return /^[\w=.,-]+$/.test(option) ? option : `'${option}'`;
}
