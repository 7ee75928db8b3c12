import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { StoreEpoch } from "../src/store-epoch.ts";
import { keys } from "../src/store/keys.ts";
import { redis, setUpStore, store } from "./store/setup.ts";

setUpStore();

async function open(refill = async () => {}): Promise<{ epoch: StoreEpoch; path: string }> {
  const directory = mkdtempSync(join(tmpdir(), "rappel-epoch-"));
  const path = join(directory, "epoch");
  const epoch = await StoreEpoch.open({ store, path, log: pino({ level: "silent" }), refill });
  onTestFinished(() => {
    epoch.close();
    rmSync(directory, { recursive: true });
  });
  return { epoch, path };
}

test("a file that cannot be read at the moment does not count as accepting a loss", async () => {
  const { epoch, path } = await open();
  await redis.flushall();
  await expect(epoch.check()).rejects.toThrow("Redis came back without the data");
  renameSync(path, `${path}.away`);
  mkdirSync(path);
  await expect(epoch.check()).rejects.toThrow("EISDIR");
  expect(await redis.get(keys.epoch)).toBe(null);
  rmSync(path, { recursive: true });
  renameSync(`${path}.away`, path);
  await expect(epoch.check()).rejects.toThrow("Redis came back without the data");
});

test("a start repeats its write until it has worked, and then stops", async () => {
  let calls = 0;
  const { epoch } = await open(async () => {
    if (++calls === 1) throw new Error("a full disk");
  });
  await redis.flushall();
  await expect(epoch.check()).rejects.toThrow("a full disk");
  await expect.poll(() => calls, { timeout: 10_000 }).toBe(2);
  await expect(epoch.check()).rejects.toThrow("Redis came back without the data");
  expect(calls).toBe(2);
});
