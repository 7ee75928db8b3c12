// A training thread that dawdles: before and after what it does it sleeps now and then, for as long
// as others take for whole phases of a step. A region that one thread reads while another may
// already write it, with no meeting in between, then holds what it should not, and bytes that
// should be equal differ.
import { WeightAverages } from "../../src/engine/step/averaging.ts";
import { Barrier } from "../../src/engine/step/barrier.ts";
import { Batches } from "../../src/engine/step/batches.ts";
import { Gradient } from "../../src/engine/step/gradient.ts";
import { Network } from "../../src/engine/step/network.ts";
import { Observer } from "../../src/engine/watch/observer.ts";
import { Follower } from "../../src/engine/schedules/follower.ts";
import { Update } from "../../src/engine/step/update.ts";

/** How often it sleeps, and for how long at most. */
const SHARE = 0.03;
const LONGEST_MS = 0.3;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

function delay(): void {
  if (Math.random() < SHARE) Atomics.wait(sleeper, 0, 0, Math.random() * LONGEST_MS);
}

for (const { prototype } of [Barrier, Batches, Network, Gradient, Update, Observer, WeightAverages, Follower]) {
  for (const [name, { value: method }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (name === "constructor" || typeof method !== "function") continue;
    Object.defineProperty(prototype, name, {
      value(this: unknown, ...given: unknown[]): unknown {
        delay();
        const result: unknown = Reflect.apply(method as (...all: unknown[]) => unknown, this, given);
        delay();
        return result;
      },
    });
  }
}

await import("../../src/engine/crew/thread.ts");
