/**
 * The command line: `rappel submit spec.yaml --data file.csv --watch` and other commands. Each is a
 * few calls of src/client.
 */
import { pipeline } from "node:stream/promises";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { Client } from "../client/client.ts";
import { RequestRefused, ServiceUnreachable } from "../client/errors.ts";
import type { JobStatus } from "../contract/wire/job.ts";
import manifest from "../../package.json" with { type: "json" };
import { SeriesName } from "../contract/series.ts";
import { hintOn } from "./hints.ts";
import { control, follow, fork, model, predict, remove, submit } from "./commands.ts";
import { datasets, diagnosis, events, jobs, metrics, show, status } from "./inspect.ts";
import type { Output } from "./output.ts";
import { bestOfStudy, extendStudy, submitStudy, watchStudy } from "./studies.ts";

const EXIT = { done: 0, refused: 1, usage: 2, failed: 3, cancelled: 4, unreachable: 5 } as const;

const help = `
Exit codes:
  0  done; a watched job succeeded
  1  the service refused the request, or something else went wrong
  2  the command line is wrong
  3  the watched job failed
  4  the watched job was cancelled
  5  no service answers
130  it was interrupted; a watched job goes on

Colours and curves are for terminals. NO_COLOR=1 and TERM=dumb do without.`;

interface Globals {
  url: string;
  key?: string;
  json?: boolean;
}

/** Also works for a command line that cannot be parsed. */
const wantsJson = process.argv.includes("--json");

const program = new Command("rappel")
  .version(manifest.version, "--version", "print the version")
  .description("Controlled descent: submits, watches and controls training jobs.")
  .addOption(new Option("--url <url>", "the URL of the service").env("RAPPEL_API_URL").default("http://127.0.0.1:8080"))
  .addOption(new Option("--key <secret>", "the API key").env("RAPPEL_API_KEY"))
  .option("--json", "print answers and errors as JSON")
  .configureOutput(wantsJson ? { writeErr: () => undefined } : {})
  .addHelpText("after", help)
  .showHelpAfterError("(rappel --help says more)")
  .exitOverride();

program
  .command("submit <specs...>")
  .description("create a job from each spec in YAML or JSON; - reads it from the standard input")
  .option("--data <file>", "a CSV file to upload first, as data.dataset of the specs")
  .option(
    "--read <option=value>",
    "how to read that file, such as separator=tab; may be given several times",
    addOption,
    {},
  )
  .option("--weights <file>", "a safetensors file to upload first, as init.weights of the specs")
  .option("--watch", "follow the job of a single spec to its end")
  .option("--validate", "only check a single spec, and create no job")
  .option("--lr-range-test", "test learning rates for a single spec instead of training, and suggest one")
  .action((specs: string[], options, command: Command) => {
    if (specs.length > 1 && (options.watch || options.validate || options.lrRangeTest))
      command.error("--watch, --validate and --lr-range-test are for one spec.", { exitCode: EXIT.usage });
    return run((client) => submit(client, specs, options));
  });

paged("jobs", "list jobs, newest first", 20)
  .option("--status <statuses>", "only these, separated by commas", (text) => text.split(",") as JobStatus[])
  .action((options) => run((client) => jobs(client, options)));

paged("datasets", "list datasets, newest first", 20).action((options) => run((client) => datasets(client, options)));

program
  .command("show <job>")
  .description("show a job")
  .action((id: string) => run((client) => show(client, id), id));

paged("events <job>", "list what happened to a job", 100).action((id: string, options) =>
  run((client) => events(client, id, options), id),
);

program
  .command("metrics <job>")
  .description("print the curves of a job, as a table with tabs")
  .addOption(new Option("--names <names>", "only these, separated by commas").argParser(namesOf))
  .option("--points <count>", "thin longer curves to this many points", countOf, 1000)
  .option("--chart", "draw them")
  .action((id: string, options) => run((client) => metrics(client, id, options), id));

program
  .command("diagnosis <job>")
  .description("say what is wrong with the training of a job, and what is likely to help")
  .action((id: string) => run((client) => diagnosis(client, id), id));

program
  .command("status")
  .description("show the workers, the queue and the store")
  .action(() => run(status));

program
  .command("delete <id>")
  .description("delete a job that has ended, or a dataset or weights that no open job uses")
  .action((id: string) => run((client) => remove(client, id), id));

program
  .command("watch <job>")
  .description("follow a job to its end: progress bar and loss curve")
  .action((id: string) => run((client) => follow(client, id), id));

for (const action of ["cancel", "pause", "resume"] as const) {
  program
    .command(`${action} <job>`)
    .description(`${action} a job`)
    .action((id: string) => run((client) => control(client, action, id), id));
}

program
  .command("fork <job>")
  .description("create a job that starts from a checkpoint of another")
  .option("--from <step>", "a checkpoint's step, final or best", stepOf, "final")
  .option("--overrides <file>", "the changes of the spec: a merge patch in YAML or JSON")
  .option("--no-optimizer", "do not take over the optimizer's state")
  .option("--watch", "follow the job to its end")
  .action((id: string, options) => run((client) => fork(client, id, options), id));

program
  .command("model <job>")
  .description("fetch the trained weights, a safetensors file")
  .option("-o, --output <file>", "where to write them, - for the standard output (default: <job>.safetensors)")
  .addOption(
    new Option("--which <weights>", "the last weights, or the best").choices(["final", "best"]).default("final"),
  )
  .action((id: string, options) => run((client) => model(client, id, options), id));

program
  .command("predict <job> <rows>")
  .description(
    "predict from the rows of a CSV file, - for the standard input, or from a dataset, by its id; of a set with folds, out-of-fold: each row of its own dataset by the model that did not train on it",
  )
  .addOption(
    new Option("--which <weights>", "the last weights, or the best").choices(["final", "best"]).default("final"),
  )
  .option("--fold <number>", "of a set: the fold whose models predict (default: 0)", Number)
  .option("--seed <number>", "of a set: the seed whose models predict, by its number (default: 0)", Number)
  .action((id: string, csv: string, options) => run((client) => predict(client, id, csv, options), id));

const study = program.command("study").description("search for the best parameters of a spec");

study
  .command("submit <study>")
  .description("create a study from YAML or JSON; - reads it from the standard input")
  .option("--data <file>", "a CSV file to upload first, as data.dataset of the study's spec")
  .option("--watch", "follow it to its end")
  .action((file: string, options) => run((client) => submitStudy(client, file, options)));

study
  .command("watch <study>")
  .description("follow a study to its end: a line whenever trials have ended, and the best trial")
  .action((id: string) => run((client) => watchStudy(client, id), id));

study
  .command("extend <study>")
  .description("let a study that has ended go on to more trials")
  .requiredOption("--trials <count>", "how many it is to have in all", countOf)
  .action((id: string, { trials }) => run((client) => extendStudy(client, id, trials), id));

study
  .command("best <study>")
  .description("show the best trial of a study so far")
  .action((id: string) => run((client) => bestOfStudy(client, id), id));

function stepOf(text: string): number | "final" | "best" {
  if (text === "final" || text === "best") return text;
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a step, final or best.");
}

/** An option of the upload, under its name in the service. */
function addOption(text: string, before: Record<string, string>): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be an option and its value, as in separator=tab.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

function countOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a number.");
}

function namesOf(text: string): SeriesName[] {
  const parsed = SeriesName.array().safeParse(text.split(","));
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(
    "It must be names of metrics, separated by commas, such as train_loss,valid_accuracy.",
  );
}

/** A command that prints a page of a list. */
function paged(name: string, description: string, limit: number): Command {
  return program
    .command(name)
    .description(description)
    .option("--limit <count>", "largest number of items", countOf, limit)
    .option("--after <next>", "continue after a page, with the value in its last line");
}

/** The id or file that the command is about, for messages that do not name it. */
let subject = "";

async function run(command: (client: Client) => Promise<Output>, about = ""): Promise<void> {
  subject = about;
  const { json, ...options } = program.opts<Globals>();
  const { value, text, bytes, stream, ended, refused } = await command(new Client(options));
  if (stream !== undefined && !json) await pipeline(stream, process.stdout, { end: false });
  else process.stdout.write(bytes ?? (json ? `${JSON.stringify(value)}\n` : `${text}\n`));
  if (refused) process.exitCode = EXIT.refused;
  if (ended === "failed") process.exitCode = EXIT.failed;
  if (ended === "cancelled") process.exitCode = EXIT.cancelled;
}

/** Prints what went wrong and returns the exit code. */
function explain(error: unknown): number {
  const code = exitCodeOf(error);
  if (code === EXIT.done) return code;
  const { message } = error as Error;
  if (wantsJson) {
    const problem = error instanceof RequestRefused ? error.problem : null;
    process.stderr.write(`${JSON.stringify(problem ?? { code: CODES[code], detail: message })}\n`);
  } else if (!(error instanceof CommanderError)) {
    process.stderr.write(`${errorText(error, message)}\n`);
  }
  return code;
}

/** The codes, in JSON, of errors that are not problem documents. */
const CODES: Record<number, string> = {
  [EXIT.refused]: "error",
  [EXIT.usage]: "usage",
  [EXIT.unreachable]: "unreachable",
};

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  return error instanceof ServiceUnreachable ? EXIT.unreachable : EXIT.refused;
}

function errorText(error: unknown, message: string): string {
  const faults = error instanceof RequestRefused ? (error.problem?.errors ?? []) : [];
  // The message already contains the first.
  const list = faults.length > 1 ? faults.map(({ pointer, message }) => `  ${pointer} ${message}`) : [];
  const named = error instanceof RequestRefused && subject !== "" && !message.includes(subject);
  const hint = hintOn(error);
  return [named ? `${subject}: ${message}` : message, ...list, ...(hint === null ? [] : [hint])].join("\n");
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}
