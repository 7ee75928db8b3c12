/** The command line: `rappel submit spec.yaml --data file.csv --watch` and its like, each a few calls of src/client. */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { Client } from "../client/client.ts";
import { RequestRefused, ServiceUnreachable } from "../client/errors.ts";
import type { JobStatus } from "../spec/wire.ts";
import { control, follow, fork, jobs, model, submit, type Output } from "./commands.ts";

const EXIT = { done: 0, refused: 1, usage: 2, failed: 3, cancelled: 4, unreachable: 5 } as const;

const help = `
Exit codes:
  0  done; a watched job succeeded
  1  the service refused the request, or something else went wrong
  2  the command line is wrong
  3  the watched job failed
  4  the watched job was cancelled
  5  no service answers`;

interface Globals {
  url: string;
  key?: string;
  json?: boolean;
}

const program = new Command("rappel")
  .description("Controlled descent: submits, watches and controls training jobs.")
  .addOption(new Option("--url <url>", "where the service is").env("RAPPEL_API_URL").default("http://127.0.0.1:8080"))
  .addOption(new Option("--key <secret>", "the API key").env("RAPPEL_API_KEY"))
  .option("--json", "print the answer as JSON")
  .addHelpText("after", help)
  .showHelpAfterError("(rappel --help says more)")
  .exitOverride();

program
  .command("submit <spec>")
  .description("create a job from a spec in YAML or JSON; - reads it from the standard input")
  .option("--data <file>", "a CSV file to upload first, as the spec's data.dataset")
  .option("--read <option=value>", "how to read that file, as in separator=tab; may be given again", addOption, {})
  .option("--watch", "follow the job to its end")
  .option("--validate", "only say what would become of the job")
  .action((spec: string, options) => run((client) => submit(client, spec, options)));

program
  .command("jobs")
  .description("list jobs, newest first")
  .option("--status <statuses>", "only these, separated by commas", (text) => text.split(",") as JobStatus[])
  .option("--limit <count>", "how many at most", countOf, 20)
  .action((options) => run((client) => jobs(client, options)));

program
  .command("watch <job>")
  .description("follow a job to its end: progress bar and loss curve")
  .action((id: string) => run((client) => follow(client, id)));

for (const action of ["cancel", "pause", "resume"] as const) {
  program
    .command(`${action} <job>`)
    .description(`${action} a job`)
    .action((id: string) => run((client) => control(client, action, id)));
}

program
  .command("fork <job>")
  .description("create a job that starts from a checkpoint of another")
  .option("--from <step>", "a checkpoint's step, final or best", stepOf, "final")
  .option("--overrides <file>", "what differs in the spec: a merge patch in YAML or JSON")
  .option("--no-optimizer", "leave the optimizer's state behind")
  .option("--watch", "follow the job to its end")
  .action((id: string, options) => run((client) => fork(client, id, options)));

program
  .command("model <job>")
  .description("fetch the trained weights, a safetensors file")
  .option("-o, --output <file>", "where to write them (default: <job>.safetensors)")
  .addOption(
    new Option("--which <weights>", "the last weights, or the best").choices(["final", "best"]).default("final"),
  )
  .action((id: string, options) => run((client) => model(client, id, options)));

function stepOf(text: string): number | "final" | "best" {
  if (text === "final" || text === "best") return text;
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a step, final or best.");
}

/** An option of the upload, as the service calls it. */
function addOption(text: string, before: Record<string, string>): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be an option and its value, as in separator=tab.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

function countOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a number.");
}

async function run(command: (client: Client) => Promise<Output>): Promise<void> {
  const { json, ...options } = program.opts<Globals>();
  const { value, text, ended } = await command(new Client(options));
  process.stdout.write(json ? `${JSON.stringify(value)}\n` : `${text}\n`);
  if (ended === "failed") process.exitCode = EXIT.failed;
  if (ended === "cancelled") process.exitCode = EXIT.cancelled;
}

/** Says what went wrong and returns the exit code. */
function explain(error: unknown): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (error instanceof RequestRefused && program.opts<Globals>().json) {
    process.stderr.write(`${JSON.stringify(error.problem ?? { status: error.status, detail: error.message })}\n`);
    return EXIT.refused;
  }
  const faults = error instanceof RequestRefused ? (error.problem?.errors ?? []) : [];
  // The message tells the first already.
  const list = faults.length > 1 ? faults.map(({ pointer, message }) => `  ${pointer} ${message}`) : [];
  const lines = [(error as Error).message, ...list];
  process.stderr.write(`${lines.join("\n")}\n`);
  return error instanceof ServiceUnreachable ? EXIT.unreachable : EXIT.refused;
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}
