import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { environmentOf } from "../../src/redis/server.ts";
import { makeDataDirectory, testServer } from "../support/redis.ts";
import { startService } from "../support/service.ts";

/** What the test looks at in an answer, whichever it is. */
interface Body {
  id: string;
  status: string;
  run: number;
  error: { message: string } | null;
  progress: { last_checkpoint_step: number | null };
  result: unknown;
}

/** The commands of docs/operations.md, as they stand there. */
function commands(): string[] {
  const text = readFileSync("docs/operations.md", "utf8").split("## Back-up and restore")[1];
  return [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block);
}

test("a back-up that was made while jobs ran is restored as docs/operations.md says", async () => {
  const server = await testServer();
  const place = mkdtempSync(join(tmpdir(), "rappel-backup-"));
  const directory = makeDataDirectory();
  onTestFinished(() => {
    for (const path of [place, directory]) rmSync(path, { recursive: true, force: true });
  });
  const run = (block: string) => {
    const variables = { RAPPEL_DATA_DIR: directory, REDIS_DIR: join(directory, "redis"), TMPDIR: place };
    const env = { ...environmentOf(server), ...variables, PATH: `${dirname(server.command)}:${process.env.PATH}` };
    execFileSync("bash", ["-euc", `${block}\nwait`], { cwd: place, env, stdio: "pipe", timeout: 20_000 });
  };
  const start = async () => {
    const service = await startService({ env: { RAPPEL_DATA_DIR: directory } });
    return { service, ...(await service.ready) };
  };
  let { service, address, redis } = await start();
  const get = async (path: string) => (await fetch(address + path)).json() as Promise<Body>;
  const send = async (path: string, type: string, body: string) => {
    const response = await fetch(address + path, { method: "POST", headers: { "content-type": type }, body });
    return (await response.json()) as { id: string };
  };
  const bytes = async (path: string) => Buffer.from(await (await fetch(address + path)).arrayBuffer());
  const until = async (id: string, condition: (job: Body) => boolean) => {
    for (;;) {
      const job = await get(`/v1/jobs/${id}`);
      if (condition(job)) return job;
      await sleep(20);
    }
  };
  const succeeded = ({ status, error }: Body) => {
    if (error !== null) throw new Error(error.message);
    return status === "succeeded";
  };

  const csv = readFileSync("examples/iris.csv", "utf8");
  const { id: dataset } = await send("/v1/datasets", "text/csv", csv);
  const target = csv.slice(0, csv.indexOf("\n")).trim().split(",").at(-1);
  const spec = (epochs: number) =>
    JSON.stringify({
      data: { dataset, target },
      model: { layers: [{ type: "linear", out_features: 64 }, { type: "relu" }, { type: "linear" }] },
      loss: { type: "cross_entropy" },
      optimizer: { type: "adam" },
      training: { epochs, batch_size: 4 },
      checkpoint: { every_steps: 5000 },
    });
  const post = async (epochs: number) => (await send("/v1/jobs", "application/json", spec(epochs))).id;
  const done = await post(20);
  await until(done, succeeded);
  const model = await bytes(`/v1/jobs/${done}/model`);
  const long = await post(8000);
  await until(long, ({ progress }) => progress.last_checkpoint_step !== null);

  const [backUp, restore] = commands();
  // Else Redis waits five seconds for other replicas before it makes the copy.
  const here = `redis-cli() { command redis-cli -s "${redis}" "$@"; }`;
  run(`${here}\nredis-cli config set repl-diskless-sync-delay 0\n${backUp}`);
  expect((await get(`/v1/jobs/${long}`)).status).toBe("running");
  const { result } = await until(long, succeeded);
  await service.stop();
  rmSync(join(directory, "datasets"), { recursive: true });
  rmSync(join(directory, "redis"), { recursive: true });
  run(restore);

  ({ service, address, redis } = await start());
  expect((await get("/readyz")).status).toBe("ok");
  expect((await bytes(`/v1/jobs/${done}/model`)).equals(model)).toBe(true);
  expect((await bytes(`/v1/datasets/${dataset}/content`)).toString()).toBe(csv);
  const again = await until(long, succeeded);
  expect(again.run).toBe(2);
  expect(again.result).toEqual(result);
  await service.stop();
});
