// Segments of the archive: what is written is read back, what is damaged is seen, and a process
// that dies leaves nothing that is mistaken for an entry.
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ulid } from "ulid";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ArchiveDirectory } from "../../../src/store/archive/directory.ts";
import type { Part, Place } from "../../../src/store/archive/entry.ts";
import {
  checkEntry,
  DamagedEntry,
  HEADER_BYTES,
  readHead,
  readPart,
  scan,
  type Found,
  type NewEntry,
} from "../../../src/store/archive/segment.ts";
import { OutOfReach } from "../../../src/store/errors.ts";
import { smallDisk } from "../../support/disk.ts";

const EPOCH = "0e7c1c1e-58bb-4b2c-9a3c-2f1a7e0c6a11";

let directory: ArchiveDirectory;

beforeEach(async () => {
  directory = new ArchiveDirectory(mkdtempSync(join(tmpdir(), "rappel-archive-")));
  await directory.prepare();
});
afterEach(() => rmSync(directory.path, { recursive: true, force: true }));

function part(name: string, ...content: Buffer[]): Part {
  const whole = Buffer.concat(content);
  const sha256 = createHash("sha256").update(whole).digest("hex");
  return { name, bytes: whole.byteLength, sha256, content };
}

/** An entry with parts of several sizes: none, a few bytes, and more than is read at a time. */
function entry(name: string, large = 0): NewEntry {
  const parts = [part("empty"), part("small", Buffer.from(`small ${name}`)), part("bytes", randomBytes(100 + large))];
  return { about: { name, text: "é\u0000\n" }, parts };
}

async function write(...batches: NewEntry[][]): Promise<Place[]> {
  const writer = await directory.begin(EPOCH);
  const places: Place[] = [];
  for (const batch of batches) places.push(...(await writer.append(batch)));
  await writer.close();
  return places;
}

async function found(segment: string): Promise<Found[]> {
  return await directory.read(segment, (read) => all(scan(segment, read)));
}

async function content(place: Place, name: string): Promise<Buffer> {
  return await directory.read(place.segment, async (read) => {
    const { parts } = await readHead(read, place);
    return Buffer.concat(await all(readPart(read, parts.get(name)!)));
  });
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const placesIn = (them: Found[]) => them.flatMap((one) => ("place" in one ? [one.place] : []));
const damagedIn = (them: Found[]) => them.flatMap((one) => ("damagedBytes" in one ? [one.damagedBytes] : []));

test("names of segments are in their order even if the clock is set back", async () => {
  const future = `${ulid(Date.now() + 86_400_000).toLowerCase()}.segment`;
  writeFileSync(join(directory.path, "quarantine", future), "");
  const [{ segment }] = await write([entry("a")]);
  expect(segment > future).toBe(true);
  const [next] = await write([entry("b")]);
  expect(next.segment > segment).toBe(true);
});

test("entries are read as they were written, alone and by a scan", async () => {
  const entries = [entry("a"), entry("b", 9 * 2 ** 20), entry("c")];
  const places = await write(entries.slice(0, 2), entries.slice(2));
  for (const [i, place] of places.entries()) {
    const head = await directory.read(place.segment, (read) => readHead(read, place));
    expect(head.about).toEqual(entries[i].about);
    for (const { name, content: chunks } of entries[i].parts)
      expect((await content(place, name)).equals(Buffer.concat(chunks as Buffer[]))).toBe(true);
  }
  const scanned = await found(places[0].segment);
  expect(placesIn(scanned)).toEqual(places);
  expect(scanned.map((one) => "head" in one && one.head.about)).toEqual(entries.map(({ about }) => about));
  expect(await directory.epoch(places[0].segment)).toBe(EPOCH);
});

test("a flipped bit anywhere in an entry is seen, and hides no other entry", async () => {
  const places = await write([entry("a"), entry("b"), entry("c")]);
  const { segment, offset, bytes, headBytes } = places[1];
  const path = join(directory.path, segment);
  const whole = readFileSync(path);
  for (let at = offset; at < offset + bytes; at++) {
    const damaged = Buffer.from(whole);
    damaged[at] ^= 1 << (at % 8);
    writeFileSync(path, damaged);
    await directory.read(segment, async (read) => {
      await expect(checkEntry(read, places[1]), `at ${at - offset}`).rejects.toThrow(DamagedEntry);
      await checkEntry(read, places[2]);
    });
    const scanned = await found(segment);
    const inHead = at < offset + bytes - (bytes - headBytes - 52);
    expect(placesIn(scanned)).toEqual(inHead ? [places[0], places[2]] : places);
    expect(damagedIn(scanned)).toEqual(inHead ? [bytes] : []);
  }
});

test("wherever a segment ends after a crash, the entries before that are there", async () => {
  const places = await write([entry("a"), entry("b")]);
  const path = join(directory.path, places[0].segment);
  const whole = readFileSync(path);
  for (let end = whole.byteLength - 1; end >= HEADER_BYTES; end -= 7) {
    writeFileSync(path, whole.subarray(0, end));
    const whichEnd = places.filter(({ offset, bytes }) => offset + bytes <= end);
    expect(placesIn(await found(places[0].segment)), `${end} bytes`).toEqual(whichEnd);
  }
  truncateSync(path, 3);
  expect(await directory.epoch(places[0].segment)).toBeNull();
});

test("another entry does not pass for the one that is meant", async () => {
  const [first, second] = await write([entry("a"), entry("a")]);
  await directory.read(first.segment, async (read) => {
    const mixed = { ...second, offset: first.offset, headBytes: first.headBytes };
    await expect(readHead(read, mixed)).rejects.toThrow(DamagedEntry);
  });
});

test("a part of another length than was said is not written", async () => {
  const writer = await directory.begin(EPOCH);
  const wrong = { ...part("bytes", Buffer.from("abc")), content: [Buffer.from("abcd")] };
  await expect(writer.append([entry("a"), { about: null, parts: [wrong] }])).rejects.toThrow(DamagedEntry);
  expect(await directory.segments()).toEqual([]);
});

test("on a full disk nothing is half written, and the entries before are whole", async (context) => {
  const disk = smallDisk(context, "256k");
  directory = new ArchiveDirectory(join(disk.directory, "archive"));
  await directory.prepare();
  const writer = await directory.begin(EPOCH);
  const [place] = await writer.append([entry("a")]);
  await expect(writer.append([entry("b", 2 ** 20)])).rejects.toMatchObject({ code: "ENOSPC" });
  expect(placesIn(await found(writer.name))).toEqual([place]);
  disk.fill();
  await expect(directory.begin(EPOCH).then((next) => next.append([entry("c")]))).rejects.toMatchObject({
    code: "ENOSPC",
  });
});

test("a segment in quarantine is still read, and a missing one is out of reach", async () => {
  const [place] = await write([entry("a")]);
  await directory.quarantine(place.segment);
  expect(await directory.segments()).toMatchObject([{ name: place.segment, quarantined: true }]);
  expect((await content(place, "small")).toString()).toBe("small a");
  await directory.bringBack(place.segment);
  expect((await content(place, "small")).toString()).toBe("small a");
  await directory.quarantine(place.segment);
  await directory.remove(place.segment);
  expect(await directory.segments()).toEqual([]);
  await expect(content(place, "small")).rejects.toThrow(OutOfReach);
});
