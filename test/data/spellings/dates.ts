/** Dates and booleans. */
import { because, booleans, cells, dates as days, numbers, texts, type Expected, type Read } from "./case.ts";

const iso: Read[] = [
  cells("days", ["2024-01-31", "1969-12-31", "2024-02-29"], days("2024-01-31", "1969-12-31", "2024-02-29")),
  cells("days with slashes", ["2024/01/31", "2024/12/01"], days("2024-01-31", "2024-12-01")),
  cells("months", ["1949-01", "1949-02", "1960-12"], days("1949-01-01", "1949-02-01", "1960-12-01")),
  cells("times after T", ["2024-01-31T12:30:00", "2024-01-31T00:00:00"], days("2024-01-31T12:30:00Z", "2024-01-31")),
  cells(
    "times after a space",
    ["2024-01-31 12:30:00", "2024-01-31 23:59:59"],
    days("2024-01-31T12:30:00Z", "2024-01-31T23:59:59Z"),
  ),
  cells(
    "times to the minute",
    ["2024-01-31 12:30", "2024-01-31T07:05"],
    days("2024-01-31T12:30Z", "2024-01-31T07:05Z"),
  ),
  cells(
    "fractions of a second",
    ["2024-01-31T12:30:00.250Z", "2024-01-31 12:30:00.5"],
    days("2024-01-31T12:30:00.250Z", "2024-01-31T12:30:00.500Z"),
  ),
  cells(
    "offsets",
    ["2024-01-31T12:30:00+02:00", "2024-01-31T23:00:00-05:00"],
    days("2024-01-31T10:30:00Z", "2024-02-01T04:00:00Z"),
  ),
  cells(
    "PostgreSQL's offsets",
    ["2024-01-31 12:30:00+00", "2024-01-31 12:30:00+02"],
    days("2024-01-31T12:30:00Z", "2024-01-31T10:30:00Z"),
  ),
  cells(
    "pandas' offsets",
    ["2024-01-31 12:30:00+00:00", "2024-02-01 00:00:00+00:00"],
    days("2024-01-31T12:30:00Z", "2024-02-01"),
  ),
  cells("days beside times", ["2024-01-31", "2024-01-31T12:00:00Z"], days("2024-01-31", "2024-01-31T12:00:00Z")),
  cells("a missing day", ["2024-01-31", "", "NULL"], days("2024-01-31", null, null)),
  cells(
    "a day that does not exist",
    ["2024-02-28", "2023-02-29"],
    because(texts("2024-02-28", "2023-02-29"), 3, "2023-02-29", /./),
  ),
  cells(
    "a month that does not exist",
    ["2024-01-31", "2024-13-01"],
    because(texts("2024-01-31", "2024-13-01"), 3, "2024-13-01", /./),
  ),
  cells(
    "an hour that does not exist",
    ["2024-01-31T10:00:00", "2024-01-31T25:00:00"],
    because(texts("2024-01-31T10:00:00", "2024-01-31T25:00:00"), 3, "2024-01-31T25:00:00", /./),
  ),
  cells(
    "a word among days",
    ["2024-01-31", "soon", "2024-02-01"],
    because(texts("2024-01-31", "soon", "2024-02-01"), 3, "soon", /./),
  ),
  cells(
    "a number among days",
    ["2024-01-31", "2024-02-01", "5"],
    because(texts("2024-01-31", "2024-02-01", "5"), 4, "5", /./),
  ),
  cells("days among numbers", ["5", "2024-01-31", "x"], because(texts("5", "2024-01-31", "x"), 3, "2024-01-31", /./)),
];

const ordered: Read[] = [
  cells("day first, with points", ["31.12.2024", "01.02.2024"], days("2024-12-31", "2024-02-01")),
  cells("day first, with slashes", ["01/02/2024", "31/12/2024"], days("2024-02-01", "2024-12-31")),
  cells("day first, with hyphens", ["13-01-2024", "02-03-2024"], days("2024-01-13", "2024-03-02")),
  cells("day first, in short", ["3/12/2016", "4/2/2016", "25/1/2016"], days("2016-12-03", "2016-02-04", "2016-01-25")),
  cells("month first, with slashes", ["12/31/2024", "02/01/2024"], days("2024-12-31", "2024-02-01")),
  cells(
    "month first, in short, with a time",
    ["12/1/2010 8:26", "12/13/2010 14:05"],
    days("2010-12-01T08:26Z", "2010-12-13T14:05Z"),
  ),
  cells(
    "day first, with a time to the second",
    ["31.12.2024 23:59:59", "01.02.2024 00:00:00"],
    days("2024-12-31T23:59:59Z", "2024-02-01"),
  ),
  cells(
    "times with am and pm",
    ["1/13/2024 5:30 PM", "1/14/2024 6:00:10 am", "1/14/2024 12:00 AM", "1/14/2024 12:30 PM"],
    days("2024-01-13T17:30Z", "2024-01-14T06:00:10Z", "2024-01-14", "2024-01-14T12:30Z"),
  ),
  cells(
    "a late cell that excludes the other order",
    [...Array.from({ length: 50 }, () => "01/02/2024"), "13/02/2024"],
    days(...Array.from({ length: 50 }, () => "2024-02-01"), "2024-02-13"),
  ),
  cells(
    "neither order excluded",
    ["03/04/2024", "05/06/2024"],
    because(texts("03/04/2024", "05/06/2024"), 2, "03/04/2024", /day|month|ISO/i),
  ),
  cells(
    "both orders in one column",
    ["31/12/2024", "12/31/2024"],
    because(texts("31/12/2024", "12/31/2024"), 3, "12/31/2024", /./),
  ),
  cells(
    "a day of no month",
    ["13/01/2024", "30/02/2024"],
    because(texts("13/01/2024", "30/02/2024"), 3, "30/02/2024", /./),
  ),
];

/**
 * Whether there is a reason is left open: none of their cells is a number or a date for certain.
 */
const open = (expected: Expected): Expected => ({ ...expected, reason: "any" });

const none: Read[] = [
  cells("years of two digits", ["31/12/24", "13/01/24"], open(texts("31/12/24", "13/01/24"))),
  cells("names of months", ["31 Jan 2024", "1 Feb 2024"], open(texts("31 Jan 2024", "1 Feb 2024"))),
  cells("names of months first", ["Jan 31, 2024", "Feb 1, 2024"], open(texts("Jan 31, 2024", "Feb 1, 2024"))),
  cells("weeks", ["2024-W05", "2024-W06"], open(texts("2024-W05", "2024-W06"))),
  cells("quarters", ["2024Q1", "2024Q2"], open(texts("2024Q1", "2024Q2"))),
  cells("times of a day", ["17:24:00", "17:25:00"], open(texts("17:24:00", "17:25:00"))),
  cells("years", ["2023", "2024"], numbers(2023, 2024)),
  cells("eight digits", ["20240131", "20240201"], numbers(20_240_131, 20_240_201)),
  cells("eight digits that are declared dates", ["20240131", "20240201"], days("2024-01-31", "2024-02-01"), {
    query: { columns: '{"c":"date"}' },
  }),
];

const truths: Read[] = [
  cells("Python's", ["True", "False", "True"], booleans("True", "False", "True")),
  cells("R's and Excel's", ["TRUE", "FALSE"], booleans("TRUE", "FALSE")),
  cells("JSON's", ["true", "false"], booleans("true", "false")),
  cells("yes and no", ["yes", "no", "yes"], booleans("yes", "no", "yes")),
  cells("Yes and No, one missing", ["Yes", "No", ""], booleans("Yes", "No", null)),
  cells("YES and NO between spaces", [" YES", "NO "], booleans("YES", "NO")),
  cells("two spellings of one", ["true", "True", "false"], texts("true", "True", "false")),
  cells("words of two pairs", ["yes", "false", "no"], texts("yes", "false", "no")),
  cells("a third word", ["Yes", "No", "No phone service"], texts("Yes", "No", "No phone service")),
  cells("letters", ["t", "f", "t"], texts("t", "f", "t")),
  cells("Y and N", ["Y", "N"], texts("Y", "N")),
  cells("zeros and ones", ["0", "1", "1"], numbers(0, 1, 1)),
  cells("German ones", ["WAHR", "FALSCH"], texts("WAHR", "FALSCH")),
];

export const dates: Read[] = [...iso, ...ordered, ...none, ...truths];
