import { expect, test } from "vitest";
import { SLOTS, Slots } from "../../src/webhooks/slots.ts";

function takeAll(slots: Slots, owner: string): number {
  let taken = 0;
  while (slots.take(owner)) taken++;
  return taken;
}

test("an owner has a limited number of slots, and can take those that were given back", () => {
  const slots = new Slots();
  expect(takeAll(slots, "ann")).toBe(8);
  slots.giveBack("ann");
  expect(takeAll(slots, "ann")).toBe(1);
});

test("however many owners take all they can get, the next owner gets one", () => {
  const slots = new Slots();
  const taken = Array.from({ length: 40 }, (_, i) => takeAll(slots, `owner ${i}`));
  expect(taken.slice(0, 15)).toEqual(Array(15).fill(8));
  expect(Math.min(...taken.slice(0, 18))).toBeGreaterThanOrEqual(1);
  const all = taken.reduce((sum, one) => sum + one, 0);
  expect(all).toBeLessThanOrEqual(SLOTS);
  // Slots that are given back are free for others again.
  for (const [i, count] of taken.entries()) for (let n = 0; n < count; n++) slots.giveBack(`owner ${i}`);
  expect(Array.from({ length: 40 }, (_, i) => takeAll(slots, `other ${i}`))).toEqual(taken);
});

test("messages that wait for a slot come back one after the other", () => {
  const slots = new Slots();
  const looks = Array.from({ length: 1000 }, () => slots.nextLook("ann", 0));
  expect([looks[0], looks[1], looks[999]]).toEqual([500, 520, 500 + 999 * 20]);
  expect(slots.nextLook("bob", 0)).toBe(500);
  // What another owner waits for is not forgotten before its time.
  expect(slots.nextLook("bob", 500)).toBe(1000);
  expect([1, 2].map(() => slots.nextLook("ann", 19_990))).toEqual([500 + 1000 * 20, 500 + 1001 * 20]);
  expect(slots.nextLook("ann", 100_000)).toBe(100_500);
});
