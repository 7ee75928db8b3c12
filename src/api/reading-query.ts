/** How a table is to be read, as the query of an upload and its Content-Type say it. */
import { z } from "zod";
import { ALL_DETECTED, declaredTypes, type ReadingOptions, type Separator } from "../data/reading.ts";
import { Problem } from "../contract/errors.ts";
import { check, listed } from "../contract/resolve/faults.ts";

const separatorWords: Record<string, Separator> = {
  ",": ",",
  ";": ";",
  "\t": "\t",
  "|": "|",
  comma: ",",
  semicolon: ";",
  tab: "\t",
  "\\t": "\t",
  pipe: "|",
};

/** What encodings are called, in small letters. Latin-1 on the web is Windows-1252. */
const encodingLabels: Record<string, NonNullable<ReadingOptions["encoding"]>> = {
  "utf-8": "utf-8",
  utf8: "utf-8",
  "us-ascii": "utf-8",
  "utf-16": "utf-16",
  "utf-16le": "utf-16le",
  "utf-16be": "utf-16be",
  "windows-1252": "windows-1252",
  cp1252: "windows-1252",
  "iso-8859-1": "windows-1252",
  latin1: "windows-1252",
};

const MAX_TOKENS = 1000;
const MAX_TOKEN_LENGTH = 256;

const Tokens = z.array(z.string().max(MAX_TOKEN_LENGTH)).max(MAX_TOKENS);
const Types = z.record(z.string(), z.enum(declaredTypes));

export const readingQuery = {
  separator: oneOf(separatorWords).optional().describe("What stands between cells. Found out if absent."),
  decimal: z.enum([".", ","]).optional().describe("The decimal mark. Found out if absent."),
  encoding: z
    .preprocess((text) => (typeof text === "string" ? text.toLowerCase() : text), oneOf(encodingLabels))
    .optional()
    .describe("Found out if neither it nor the charset of the Content-Type is there."),
  header: z
    .enum(["true", "false"])
    .optional()
    .describe("Whether the first line names the columns, as it does if this is absent; else they are `column_1` …"),
  missing_values: z
    .string()
    .transform(parsedBy(tokensOf))
    .optional()
    .describe("What is missing besides empty cells: a JSON array, or texts separated by commas; empty: nothing."),
  columns: z
    .string()
    .transform(parsedBy(typesOf))
    .optional()
    .describe('The types of columns, as in `{"zip": "categorical", "id": "ignore"}`. Others are found out.'),
  comment: z
    .string()
    .regex(/^[^\s"',;|]{1,16}$/, "must be 1 to 16 characters that are no spaces, quotes or separators")
    .optional()
    .describe("Lines that begin with it are left out."),
};

type ReadingQuery = z.output<z.ZodObject<typeof readingQuery>>;

/** @throws Problem if the charset of the Content-Type is none that can be read */
export function readingOptions(query: ReadingQuery, contentType = ""): ReadingOptions {
  const [, charset] = /;\s*charset\s*=\s*"?([^;"\s]+)/i.exec(contentType) ?? [];
  const label = query.encoding ?? charset?.toLowerCase();
  if (label !== undefined && !Object.hasOwn(encodingLabels, label)) {
    const known = Object.keys(encodingLabels).join(", ");
    throw new Problem("unsupported_media_type", `The charset ${label.slice(0, 50)} cannot be read, only ${known}.`);
  }
  return {
    ...ALL_DETECTED,
    separator: query.separator === undefined ? null : separatorWords[query.separator],
    decimal: query.decimal ?? null,
    encoding: label === undefined ? null : encodingLabels[label],
    header: query.header === undefined ? null : query.header === "true",
    comment: query.comment ?? null,
    missing_values: query.missing_values ?? null,
    columns: query.columns ?? null,
  };
}

function oneOf(words: Record<string, unknown>) {
  return z.enum(Object.keys(words));
}

/** A text by what it means; what `parse` throws says what is wrong with it. */
function parsedBy<T>(parse: (text: string) => T) {
  return (text: string, context: z.RefinementCtx): T => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
      return z.NEVER;
    }
  };
}

/** Sorted and each once, since readings are compared. Empty cells are missing in any case. */
function tokensOf(text: string): string[] {
  const example = '["NA", "-999"] or NA,-999';
  const tokens = text.startsWith("[") ? parsed(Tokens, text, `an array of texts: ${example}`) : text.split(",");
  const { faults } = check(Tokens, tokens);
  if (faults !== null) throw new Error(faults[0].message);
  return [...new Set(tokens.map((token) => token.trim()))].filter((token) => token !== "").toSorted();
}

function typesOf(text: string): ReadingOptions["columns"] {
  return parsed(Types, text, 'an object such as {"zip": "categorical"}');
}

function parsed<T extends z.ZodType>(schema: T, text: string, what: string): z.output<T> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error(`must be ${what}, and is no JSON`);
  }
  const { value, faults } = check(schema, json);
  if (faults === null) return value;
  const [{ pointer, message }] = faults;
  if (pointer === "") throw new Error(`must be ${what}: it ${message}`);
  throw new Error(`must be ${what}: ${listed([pointer.slice(1)])} ${message}`);
}
