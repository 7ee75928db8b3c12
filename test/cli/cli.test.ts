// The command line against the whole service, as its users run both.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Client } from "../../src/client/client.ts";
import { startService, type ServiceProcess } from "../support/service.ts";

const directory = mkdtempSync(join(tmpdir(), "rappel-cli-"));
let service: ServiceProcess;
let url: string;
beforeAll(async () => {
  service = await startService({ env: { RAPPEL_DATA_DIR: join(directory, "data"), RAPPEL_API_KEYS: "ann:first" } });
  url = (await service.ready).address!;
}, 120_000);
afterAll(async () => {
  await service.stop();
  rmSync(directory, { recursive: true });
});

async function rappel(args: string[], { input = "", env = {} }: { input?: string; env?: Record<string, string> } = {}) {
  const child = spawn(process.execPath, ["scripts/rappel.mjs", ...args], {
    env: { ...process.env, RAPPEL_API_URL: url, RAPPEL_API_KEY: "first", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(input);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text: Buffer) => (stdout += text.toString()));
  child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
  const [code] = (await once(child, "close")) as [number];
  return { code, stdout, stderr };
}

/** A spec in YAML over a synthetic table; `more` is added to it. */
const moons = (more = "") => `
data: { synthetic: { type: two_moons, rows: 200, noise: 0.1 }, target: target, validation: { every: 5 } }
model: { layers: [{ type: linear, out_features: 8 }, { type: tanh }, { type: linear }] }
loss: { type: cross_entropy }
optimizer: { type: adam, lr: 0.05 }
${more || "training: { epochs: 10, batch_size: 32 }"}
`;
const endless = moons("training: { epochs: 100000, batch_size: 1, eval_every_epochs: 1000 }");

/** Class b has no row to train on. */
const onlyA = `
data: { inline: { columns: [x, y], rows: [[1, b], [2, a], [3, a]] }, target: y, validation: { every: 3 } }
model: { layers: [{ type: linear }] }
loss: { type: cross_entropy }
optimizer: { type: sgd }
training: { epochs: 1, batch_size: 1 }
`;

const diverging = `
data: { synthetic: { type: linear, rows: 100 }, target: target }
model: { layers: [{ type: linear, out_features: 8 }, { type: linear }] }
loss: { type: mse }
optimizer: { type: sgd, lr: 1.0e+20 }
training: { epochs: 50, batch_size: 10 }
`;

test("a table is read as --read says", async () => {
  const [spec, table] = [join(directory, "table.yaml"), join(directory, "table.tsv")];
  writeFileSync(table, "# made by hand\nx;y\tz\n1;2\t3\n3;4\t5\n5;6\t8\n");
  writeFileSync(
    spec,
    moons("training: { epochs: 1, batch_size: 2 }")
      .replace(/data: .*/, "data: { target: z, features: ['x;y'] }")
      .replace("cross_entropy", "mse"),
  );
  const read = (...options: string[]) =>
    rappel(["submit", spec, "--validate", "--data", table, ...options.flatMap((option) => ["--read", option])]);
  const valid = await read("separator=tab", "comment=#");
  expect(valid).toEqual({ code: 0, stdout: expect.stringMatching(/^Valid: /), stderr: "" });
  expect(await read("separator=tabs")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("?separator must be"),
  });
  expect(await read("separator=tab")).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^Line 2: This row has 2 cells.*\nHere that is --read 'comment=#'\.\n$/),
  });
  expect(await read("tab")).toMatchObject({ code: 2, stderr: expect.stringContaining("separator=tab") });
});

test("submit, watch, list and fetch the model", async () => {
  const spec = join(directory, "iris.json");
  writeFileSync(spec, readFileSync("examples/iris-adamw.json"));
  const watched = await rappel(["submit", spec, "--data", "examples/iris.csv", "--watch"]);
  expect(watched).toEqual({
    code: 0,
    stdout: expect.stringMatching(
      /^job_\w+ succeeded after 240 steps\n(.*\n)* {2}valid_accuracy .*\n(.*\n)* {2}weights_sha256 [0-9a-f]{64}\n$/,
    ),
    stderr: expect.stringMatching(
      /^job_\w+\n(step .*\n)*step 240\/240 \|█+\| loss 0\.\d{4} {2}validation accuracy 0\.\d{4} {2}succeeded\n$/,
    ),
  });
  const [, id] = /^(job_\w+)/.exec(watched.stdout)!;
  const again = await rappel(["watch", id, "--json"]);
  expect(again.code).toBe(0);
  const job = JSON.parse(again.stdout);
  expect(job).toMatchObject({ id, status: "succeeded", name: "iris-adamw" });

  const listed = await rappel(["jobs", "--status", "succeeded,failed"]);
  expect(listed.stdout).toMatch(new RegExp(`^${id} {2}succeeded {3}100 % {2}\\S+ {2}iris-adamw\n$`));
  expect((await rappel(["jobs", "--status", "queued"])).stdout).toBe("There are no jobs.\n");
  expect(JSON.parse((await rappel(["--json", "jobs"])).stdout).data).toHaveLength(1);

  const forked = await rappel(["fork", id, "--from", "240", "--no-optimizer", "--json"]);
  expect(JSON.parse(forked.stdout)).toMatchObject({ parent: { job_id: id, step: 240 } });

  const output = join(directory, "iris.safetensors");
  const fetched = await rappel(["model", id, "-o", output, "--json"]);
  const { sha256 } = JSON.parse(fetched.stdout);
  expect([fetched.code, sha256]).toEqual([0, job.result.weights_sha256]);
  expect(createHash("sha256").update(readFileSync(output)).digest("hex")).toBe(sha256);
});

test("a test of learning rates draws its curve and suggests one", async () => {
  const test = ["submit", "examples/iris-adamw.json", "--data", "examples/iris.csv", "--lr-range-test"];
  const { code, stdout } = await rappel(test);
  expect(code).toBe(0);
  expect(stdout).toMatch(/a {2}smoothed loss over the logarithm of the rate *\n/);
  const [, lr] = /\nHalf of the fall .*\nsuggested lr: ([\d.]+)\n$/.exec(stdout)!;
  const job = JSON.parse((await rappel([...test, "--json"])).stdout);
  expect(job.spec).toMatchObject({ schedule: { type: "lr_range_test" }, training: { epochs: 75 } });
  expect(job.result.lr_range_test.suggested_lr).toBe(Number(lr));
});

test("several specs make several jobs, and a wrong one says which file it is", async () => {
  const files = ["a", "wrong", "b"].map((name) => join(directory, `${name}.yaml`));
  for (const [i, file] of files.entries())
    writeFileSync(file, moons(`training: { epochs: ${i % 2 === 0 ? 1 : 0}, batch_size: 32 }`));
  const { code, stdout, stderr } = await rappel(["submit", ...files]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringMatching(/^job_\w+\njob_\w+\n$/) });
  expect(stderr).toBe(`${files[1]}: /training/epochs must be at least 1.\n`);
  const json = await rappel(["submit", files[0], files[2], "--json"]);
  expect([json.code, JSON.parse(json.stdout).results]).toMatchObject([0, [{ status: 201 }, { status: 201 }]]);
  expect(await rappel(["submit", ...files, "--watch"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--watch, --validate and --lr-range-test are for one spec."),
  });
});

test("a fork from the best weights needs no --no-optimizer", async () => {
  const input = `
data: { synthetic: { type: two_moons, rows: 100 }, target: target, validation: { every: 5 } }
model: { layers: [{ type: linear }] }
loss: { type: cross_entropy }
optimizer: { type: sgd, lr: 0.1 }
training: { epochs: 2, batch_size: 40 }
checkpoint: { keep_best: true }
`;
  const { id, result } = JSON.parse((await rappel(["submit", "-", "--watch", "--json"], { input })).stdout);
  const forked = await rappel(["fork", id, "--from", "best", "--json"]);
  expect(JSON.parse(forked.stdout)).toMatchObject({ parent: { job_id: id, step: result.best.step } });
});

test("a job is shown, its events, metrics and diagnosis read, and it is deleted with its dataset", async () => {
  const { stdout } = await rappel(["submit", "-", "--watch", "--json"], { input: moons() });
  const { id } = JSON.parse(stdout);
  const shown = await rappel(["show", id]);
  expect(shown.stdout).toMatch(new RegExp(`^${id} {2}succeeded\n(  .+\n)+$`));
  expect(shown.stdout).toContain("  step            50/50 (100 %)\n");
  expect(shown.stdout).toContain("  optimizer       adam\n");

  const types = async (...args: string[]) => (await rappel(["events", id, ...args])).stdout.trim().split("\n");
  const all = await types();
  expect(all[0]).toMatch(/^1 {2}20\S+Z {2}run 0 {2}created {2}/);
  expect(all.at(-1)).toMatch(/ {2}run 1 {2}succeeded {2}Trained after 50 steps\.$/);
  const first = await types("--limit", "2");
  expect(first).toEqual([...all.slice(0, 2), "… and more: --after 2"]);
  expect(await types("--after", "2")).toEqual(all.slice(2));

  const table = (await rappel(["metrics", id, "--names", "train_loss,valid_accuracy"])).stdout.trimEnd().split("\n");
  expect(table[0]).toBe("step\ttrain_loss\tvalid_accuracy");
  expect(table.at(-1)).toMatch(/^50\t0\.\d+\t[01](\.\d+)?$/);
  const drawn = await rappel(["metrics", id, "--names", "train_loss,valid_loss", "--chart"]);
  expect(drawn.stdout).toMatch(/┤[\s\S]*█ a {2}train_loss *\n█ b {2}valid_loss/);
  expect(drawn.stdout).not.toContain("\u001b");
  expect(await rappel(["metrics", id, "--names", "loss"])).toMatchObject({ code: 2 });
  expect((await rappel(["diagnosis", id])).stdout).toMatch(/^.+\.\n/);

  const bytes = await rappel(["model", id, "-o", "-"]);
  expect(bytes).toMatchObject({
    code: 0,
    stderr: "",
    stdout: expect.stringContaining('"__metadata__":{"format":"pt"}'),
  });

  const rows = { input: "x0,x1\n0.5,0.1\n2,-1\n" };
  expect((await rappel(["predict", id, "-"], rows)).stdout).toMatch(/^[01]\n[01]\n$/);
  const answer = JSON.parse((await rappel(["predict", id, "-", "--json"], rows)).stdout);
  expect(answer.predictions).toEqual([expect.any(Object), expect.any(Object)]);
  const [{ id: newest }] = JSON.parse((await rappel(["datasets", "--json"])).stdout).data;
  const csv = (await rappel(["predict", id, newest])).stdout;
  expect(csv).toMatch(/^class,probability_0,probability_1\n([01],0\.\d+,0\.\d+\n)+$/);

  const datasets = await rappel(["datasets"]);
  const [, dataset] = /^(ds_\w+) {2}200 rows {2}3 columns {2}\S+ KiB {2}\S+ {2}two_moons$/m.exec(datasets.stdout)!;
  expect((await rappel(["status"])).stdout).toMatch(/^jobs .*succeeded.*\nqueue .*\nstore .*\nworker .*\n$/);
  for (const gone of [id, dataset])
    expect(await rappel(["delete", gone])).toMatchObject({ stdout: `${gone} deleted\n` });
  const missing = { code: 1, stdout: "", stderr: `${id}: There is no such job.\nrappel jobs lists yours.\n` };
  for (const command of ["show", "events", "metrics", "diagnosis", "watch", "cancel", "fork", "model", "delete"]) {
    expect([command, await rappel([command, id])]).toEqual([command, missing]);
  }
});

test("a study is submitted, watched to its end, and says what is best", async () => {
  const spec = moons().replaceAll(/^(?=.)/gm, "  ");
  const study = `spec:\n${spec}\nspace: { /optimizer/lr: { log_uniform: [0.01, 0.1] } }\ntrials: 3`;
  const submitted = await rappel(["study", "submit", "-", "--watch"], { input: study });
  expect(submitted.stderr).toMatch(/^study_\w{26}\n(.*\n)*trial 3\/3 .*best valid_loss .*succeeded\n$/);
  const id = submitted.stderr.split("\n")[0];
  expect(submitted.code).toBe(0);
  const best = await rappel(["study", "best", id]);
  expect(best.stdout).toBe(submitted.stdout);
  expect(best.stdout).toMatch(/^trial\t\d\njob\tjob_\w{26}\nvalid_loss\t[\d.]+\n\/optimizer\/lr\t0\.0\d+\n$/);
  const json = JSON.parse((await rappel(["study", "watch", id, "--json"])).stdout);
  expect(json).toMatchObject({ id, status: "succeeded", best: { value: expect.any(Number) } });

  const rows = join(directory, "rows.csv");
  writeFileSync(rows, "a,b\n1,2\n3,4\n");
  const empty = await rappel(["study", "submit", "-", "--data", rows], { input: "{}" });
  expect([empty.code, empty.stderr]).toEqual([1, expect.stringMatching(/^\/space is required\.$/m)]);
});

test("a set of folds predicts by the fold that is asked for, and out of fold", async () => {
  const input = moons().replace("every: 5", "folds: 3");
  const { id } = JSON.parse((await rappel(["submit", "-", "--watch", "--json"], { input })).stdout);
  const rows = { input: "x0,x1\n0.5,0.1\n2,-1\n" };
  const answers = [];
  for (const fold of ["0", "2"])
    answers.push(JSON.parse((await rappel(["predict", id, "-", "--json", "--fold", fold], rows)).stdout).predictions);
  expect(answers[0]).toHaveLength(2);
  expect(answers[0]).not.toEqual(answers[1]);
  const csv = (await rappel(["predict", id, "out-of-fold"])).stdout.trimEnd().split("\n");
  expect(csv[0]).toBe("row,fold,class,probability_0,probability_1");
  expect(csv).toHaveLength(201);
  const missing = await rappel(["predict", id, "-", "--fold", "3"], rows);
  expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("?fold must be below 3") });
});

test("a list continues after the page before", async () => {
  for (let i = 0; i < 3; i++) await rappel(["submit", "-"], { input: moons() });
  const ids = async (...args: string[]) => (await rappel(["jobs", ...args])).stdout.match(/^job_\w+/gm)!;
  const all = await ids();
  const { stdout } = await rappel(["jobs", "--limit", "2"]);
  const [, next] = /… and more: --after (\S+)\n$/.exec(stdout)!;
  expect([...(await ids("--limit", "2")), ...(await ids("--after", next))]).toEqual(all);
});

test("after an interrupt the user learns that the job goes on, and how to watch it again", async () => {
  const id = (await rappel(["submit", "-"], { input: endless })).stdout.trim();
  const child = spawn(process.execPath, ["scripts/rappel.mjs", "watch", id], {
    env: { ...process.env, RAPPEL_API_URL: url, RAPPEL_API_KEY: "first" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
  await expect.poll(() => stderr, { timeout: 30_000 }).toContain("step ");
  child.kill("SIGINT");
  expect(await once(child, "close")).toEqual([130, null]);
  expect(stderr).toMatch(new RegExp(`\n${id} goes on. To watch it again: rappel watch ${id}\n$`));
  expect((await rappel(["show", id])).stdout).toMatch(/^job_\w+ {2}(queued|running)\n/);
  await rappel(["cancel", id]);
});

test("with --json errors are JSON too, and --version prints that of the package", async () => {
  const error = async (...args: string[]) => {
    const { code, stdout, stderr } = await rappel(["--json", ...args]);
    return [code, stdout, JSON.parse(stderr)];
  };
  expect(await error("show", "job_x")).toMatchObject([1, "", { status: 404, code: "not_found" }]);
  expect(await error("submit", "no.yaml")).toMatchObject([1, "", { code: "error", detail: expect.any(String) }]);
  expect(await error("jobs", "--limt", "3")).toMatchObject([2, "", { code: "usage" }]);
  expect(await error("status", "--url", "http://127.0.0.1:1")).toMatchObject([5, "", { code: "unreachable" }]);
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(await rappel(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
});

test("a spec may come from the standard input, in YAML, and be validated only", async () => {
  const valid = await rappel(["submit", "-", "--validate"], { input: moons() });
  expect(valid).toEqual({ code: 0, stdout: "Valid: 42 parameters, 50 steps.\n", stderr: "" });
  const warning = 'Warning: /data/validation leaves the class "b" of "y" without a row to train on.\n';
  expect(await rappel(["submit", "-", "--validate"], { input: onlyA })).toMatchObject({ code: 0, stderr: warning });
  expect(await rappel(["submit", "-", "--json"], { input: onlyA })).toMatchObject({ code: 0, stderr: warning });
  const wrong = await rappel(["submit", "-"], { input: moons("training: { epochs: 0, batch_size: 32 }\nname: 5") });
  expect(wrong).toMatchObject({ code: 1, stdout: "" });
  expect(wrong.stderr).toContain("\n  /training/epochs must be at least 1\n");
  const problem = await rappel(["submit", "-", "--json"], { input: "{}" });
  expect(JSON.parse(problem.stderr)).toMatchObject({ code: "invalid_spec", status: 422 });
  expect(await rappel(["submit", "-"], { input: "- 1" })).toMatchObject({
    code: 1,
    stderr: 'The body must be an object with "data", "model", "loss", "optimizer", "training", not an array.\n',
  });
  expect(await rappel(["submit", "nowhere.yaml"])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^\S+ cannot be read: there is no such file\n$/),
  });
});

test("the exit code says how a watched job ended", async () => {
  const { stdout } = await rappel(["submit", "-"], { input: endless });
  const id = stdout.trim();
  expect(id).toMatch(/^job_\w{26}$/);
  const watching = rappel(["watch", id]);
  const cancelled = await rappel(["cancel", id]);
  expect(cancelled).toMatchObject({ code: 0, stdout: expect.stringMatching(`^${id} cancell(ing|ed)\n$`) });
  expect(await watching).toMatchObject({ code: 4, stdout: `${id} cancelled\n` });

  const failed = await rappel(["submit", "-", "--watch"], { input: diverging });
  expect(failed).toMatchObject({ code: 3, stdout: expect.stringMatching(/^job_\w+ failed: .+\n {2}.+\n$/) });
});

test("a wrong command line, a wrong key and a missing service have their own exit codes", async () => {
  expect(await rappel(["submit"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("missing required argument"),
  });
  expect(await rappel(["jobs", "--limt", "3"])).toMatchObject({ code: 2, stderr: expect.stringContaining("--limit") });
  expect(await rappel(["fork", "job_x", "--from", "last"])).toMatchObject({ code: 2 });
  expect(await rappel(["jobs", "--limit", "many"])).toMatchObject({ code: 2 });
  const [good, bad] = [join(directory, "good.yaml"), join(directory, "bad.yaml")];
  writeFileSync(good, moons());
  writeFileSync(bad, "a: [1,");
  expect((await rappel(["submit", bad])).stderr).toMatch(/^\S+bad\.yaml cannot be read: /);
  expect((await rappel(["submit", good, "--data", "no.csv"])).stderr).toBe(
    "no.csv cannot be read: there is no such file\n",
  );
  expect(await rappel(["jobs", "--key", "wrong"])).toEqual({
    code: 1,
    stdout: "",
    stderr: "This API key is not known.\nGive the key with --key, or in RAPPEL_API_KEY.\n",
  });
  // A single fault is told once.
  const faulty = await rappel(["submit", "-"], { input: moons("training: { epochs: 0, batch_size: 32 }") });
  expect(faulty).toMatchObject({ code: 1, stderr: expect.stringMatching(/^\/training\/epochs .+\n$/) });
  expect(await rappel(["jobs", "--url", "http://127.0.0.1:1"])).toMatchObject({
    code: 5,
    stderr: expect.stringMatching(/^No service answers .*\nStart one with npm start, or name another with --url\.\n$/),
  });
  expect((await rappel(["submit", "examples/iris-adamw.json"])).stderr).toMatch(/\n--data <file> uploads a table/);
  expect(await rappel(["--help"])).toMatchObject({ code: 0, stdout: expect.stringContaining("Exit codes:") });
});

test("inline rows with empty cells, min_max and a column that validates are described with the model", async () => {
  const client = new Client({ url, key: "first" });
  const rows = Array.from({ length: 40 }, (_, i) => [
    // Not an integer, of which all different ones would be ids.
    i % 10 === 3 ? null : i / 2,
    i % 3 === 0 ? "red" : "blue",
    5 * i,
    i % 4 === 0 ? 1 : 0,
  ]);
  const job = await client.createJob({
    data: {
      inline: { columns: ["x", "colour", "y", "held_out"], rows },
      target: "y",
      features: ["x", "colour"],
      validation: { column: "held_out" },
      preprocess: { numeric: "min_max", missing: "mean" },
    },
    model: { layers: [{ type: "linear" }] },
    loss: { type: "mse" },
    optimizer: { type: "sgd", lr: 0.1 },
    training: { epochs: 20, batch_size: "full" },
  });
  for await (const { status } of client.watch(job.id)) if (status === "failed") throw new Error("it failed");
  const train = rows.filter(([, , , heldOut]) => heldOut === 0).map(([x]) => x as number | null);
  const present = train.filter((x) => x !== null);
  const mean = present.reduce((sum, x) => sum + x, 0) / present.length;
  const { inputs, target, metrics } = await client.getModelDescription(job.id);
  expect(inputs).toMatchObject([
    { column: "x", type: "numeric", scale: "min_max", min: 0.5, max: 19.5, fill: expect.closeTo(mean, 12) },
    { column: "colour", type: "categorical", classes: ["blue", "red"] },
  ]);
  expect(target).toMatchObject({ column: "y", task: "regression", classes: null });
  expect(metrics).toMatchObject({ valid_r2: expect.any(Number), valid_mae: expect.any(Number) });
});
