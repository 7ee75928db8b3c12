/**
 * Secrets as lists of `name:secret`. With an API key an owner signs in; with a webhook secret we
 * sign what we send to the owner.
 */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { StartFailure } from "./start-failure.ts";

/** A key as we keep it. Somebody who reads our memory does not learn how to sign in. */
export interface ApiKey {
  readonly owner: string;
  readonly sha256: Buffer;
  readonly short: boolean;
}

/** A shorter secret can be guessed. The next release refuses it. */
const MIN_SECRET_CHARACTERS = 16;

export interface Named {
  readonly name: string;
  readonly secret: string;
}

export function apiKey(owner: string, secret: string): ApiKey {
  return { owner, sha256: hashed(secret), short: isShort(secret) };
}

export function isShort(secret: string): boolean {
  return secret.length < MIN_SECRET_CHARACTERS;
}

/** A sentence for the log about a short secret of `what`, which does not repeat the secret. */
export function shortSecretWarning(what: string): string {
  return `${what} is shorter than ${MIN_SECRET_CHARACTERS} characters, which the next release refuses: make another with "openssl rand -hex 16"`;
}

export function hashed(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

/** Returns null if the text is no `name:secret`. */
export function named(text: string): Named | null {
  const [, name, secret] = /^([\w-]{1,64}):(\S+)$/.exec(text.trim()) ?? [];
  return name === undefined ? null : { name, secret };
}

/**
 * Reads a file with one `name:secret` on each line. Empty lines and lines that begin with # do not
 * count.
 * @throws StartFailure, whose message does not repeat what is in the file
 */
export function readKeysFile(path: string): ApiKey[] {
  const refuse = (why: string) => new StartFailure(`RAPPEL_API_KEYS_FILE is ${JSON.stringify(path)}, ${why}.`);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw refuse(`which cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const keys = text.split("\n").flatMap((line, i) => {
    if (/^\s*(#|$)/.test(line)) return [];
    const key = named(line);
    if (key === null)
      throw refuse(`whose line ${i + 1} must be name:secret, the name of up to 64 letters, digits, - and _`);
    return [apiKey(key.name, key.secret)];
  });
  if (keys.length === 0) throw refuse("which holds no key: write one name:secret a line");
  return keys;
}

/** Whether other users may read or change a file. */
export function isOpenToOthers(path: string): boolean {
  return (statSync(path).mode & 0o077) !== 0;
}

/** Whether two keys have the same secret, so that nobody could tell whose it is. */
export function ambiguous(keys: readonly ApiKey[]): boolean {
  return new Set(keys.map(({ sha256 }) => sha256.toString("hex"))).size < keys.length;
}

/**
 * Reads a secret as Standard Webhooks writes it: `whsec_` and the base64 of 24 to 64 bytes.
 * Returns null if the text is something else.
 */
export function webhookSecret(text: string): Buffer | null {
  const [, base64] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  const secret = Buffer.from(base64 ?? "", "base64");
  return secret.length >= 24 && secret.length <= 64 ? secret : null;
}
