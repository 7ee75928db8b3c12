import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { Abandoned, thisProcess, Pool, PoolBusy } from "../../src/data/pool.ts";

const limits = { runningOfOwner: 2, waitingOfOwner: 3, waiting: 5, idleMs: 60_000 };
const pool = (changes = {}) => new Pool(new URL("./pool-tasks.ts", import.meta.url), { ...limits, ...changes });

/** A place where tasks wait until it is opened, and tell that they have begun. */
class Gate {
  readonly cells = new Int32Array(new SharedArrayBuffer(8));

  async entered(count: number): Promise<void> {
    while (this.cells[0] < count) await setImmediate();
  }

  open(): void {
    Atomics.store(this.cells, 1, 1);
    Atomics.notify(this.cells, 1);
  }
}

test("an owner's tasks leave threads to others, and owners take turns", async () => {
  const threads = pool({ waitingOfOwner: 100, waiting: 100 });
  const [first, then] = [new Gate(), new Gate()];
  const ended: string[] = [];
  const run = (owner: string, name: string, gate: Gate) =>
    threads.run({ task: name, input: gate.cells }, { owner }).then((result) => ended.push(String(result)));
  const all = [run("ann", "a1", first), run("ann", "a2", first)];
  await first.entered(2);
  // Two threads are free, and ann may not have them.
  all.push(run("ann", "a3", then), run("ann", "a4", then));
  const others = new Gate();
  all.push(run("bob", "b1", others), run("bob", "b2", others));
  await others.entered(2);
  expect([first.cells[0], then.cells[0]]).toEqual([2, 0]);
  all.push(run("eve", "e1", then), run("ann", "a5", then), run("eve", "e2", then));
  then.open();
  others.open();
  await expect.poll(() => ended.filter((name) => name.startsWith("e")).sort()).toEqual(["e1", "e2"]);
  expect(ended).not.toContain("a3");
  first.open();
  await Promise.all(all);
  expect(ended.filter((name) => /a[345]/.test(name)).sort()).toEqual(["a3", "a4", "a5"]);
});

test("a thread that has nothing to do is ended, and the next task gets a new one", async () => {
  const threads = pool({ idleMs: 5 });
  const gate = new Gate();
  gate.open();
  const run = () => threads.run({ task: "task", input: gate.cells }, thisProcess);
  for (let i = 0; i < 2; i++) {
    const tasks = [run(), run(), run()];
    expect(threads.threads).toBe(3);
    expect(await Promise.all(tasks)).toEqual(["task", "task", "task"]);
    await expect.poll(() => threads.threads, { timeout: 20_000 }).toBe(0);
  }
});

test("the waiting tasks of an owner, and of all owners, are limited; those of the process itself are not", async () => {
  const threads = pool();
  const gate = new Gate();
  const run = (owner: string | null) => threads.run({ task: "task", input: gate.cells }, { owner });
  const accepted = Array.from({ length: 5 }, () => run("ann"));
  await expect(run("ann")).rejects.toThrow(PoolBusy);
  await expect(run("ann")).rejects.toMatchObject({ scope: "own", waiting: 3 });
  accepted.push(...Array.from({ length: 4 }, () => run("bob")));
  await expect(run("eve")).rejects.toMatchObject({ scope: "all", waiting: 5 });
  accepted.push(threads.run({ task: "task", input: gate.cells }, thisProcess));
  gate.open();
  expect(await Promise.all(accepted)).toHaveLength(10);
  expect(await run("ann")).toBe("task");
});

test("a task whose client is gone leaves the queue, or ends with its thread; the others' go on", async () => {
  const threads = pool();
  const gate = new Gate();
  const clients = Array.from({ length: 3 }, () => new AbortController());
  const spinning = clients
    .slice(0, 2)
    .map(({ signal }) => threads.run({ task: "spin", input: 0 }, { owner: "ann", signal }));
  // Before it in the queue, and after it.
  const before = threads.run({ task: "before", input: gate.cells }, { owner: "ann" });
  const waiting = threads.run({ task: "never", input: gate.cells }, { owner: "ann", signal: clients[2].signal });
  const next = threads.run({ task: "next", input: gate.cells }, { owner: "ann" });
  clients[2].abort();
  await expect(waiting).rejects.toThrow(Abandoned);
  gate.open();
  // They wait for threads that only those who spin can give them.
  for (const client of clients) client.abort();
  // Both at once: nobody would look at the second while the first is waited for.
  const gone = { status: "rejected", reason: expect.any(Abandoned) };
  expect(await Promise.allSettled(spinning)).toMatchObject([gone, gone]);
  expect(await Promise.all([before, next])).toEqual(["before", "next"]);
  expect(gate.cells[0]).toBe(2);
  await expect(
    threads.run({ task: "never", input: gate.cells }, { owner: "ann", signal: AbortSignal.abort() }),
  ).rejects.toThrow(Abandoned);
});

test("an owner whose only waiting task is given up has no turn any more", async () => {
  const threads = pool();
  const gate = new Gate();
  const [spinner, waiter] = [new AbortController(), new AbortController()];
  const ask = (task: string, { signal }: AbortController) =>
    threads.run({ task, input: gate.cells }, { owner: "ann", signal });
  const spinning = [ask("spin", spinner), ask("spin", spinner)];
  const waiting = ask("never", waiter);
  waiter.abort();
  await expect(waiting).rejects.toThrow(Abandoned);
  spinner.abort();
  expect(await Promise.allSettled(spinning)).toMatchObject([{ status: "rejected" }, { status: "rejected" }]);
  gate.open();
  expect(await ask("sound", new AbortController())).toBe("sound");
});

test("a thread that ends by itself fails its task and no other", async () => {
  const threads = pool();
  const gate = new Gate();
  gate.open();
  await expect(threads.run({ task: "exit", input: 0 }, { owner: "ann" })).rejects.toThrow("The helper thread ended.");
  expect(await threads.run({ task: "sound", input: gate.cells }, { owner: "ann" })).toBe("sound");
});
