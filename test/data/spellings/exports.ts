/** What Excel, pandas, R, databases and others write, by their own rules. */
import { because, booleans, dates, numbers, texts, type Read } from "./case.ts";

const windows = (text: string) => Buffer.from(text.replaceAll("€", "\x80"), "latin1");

export const exports: Read[] = [
  {
    what: "Excel in German",
    body: windows(
      "Datum;Stadt;Umsatz;Anteil;Preis;Neu\r\n" +
        "31.12.2024;Köln;1.234,50;12,5%;9,99 €;WAHR\r\n" +
        "01.02.2024;München;987;7,0%;1.250,00 €;FALSCH\r\n",
    ),
    reading: { separator: ";", decimal: ",", encoding: "windows-1252" },
    columns: {
      Datum: dates("2024-12-31", "2024-02-01"),
      Stadt: texts("Köln", "München"),
      Umsatz: numbers(1234.5, 987),
      Anteil: numbers(12.5, 7),
      Preis: numbers(9.99, 1250),
      Neu: texts("WAHR", "FALSCH"),
    },
  },
  {
    what: "Excel in French",
    body: windows(
      "Date;Ville;Montant;Taux\r\n31/12/2024;Orléans;1\xa0234,50 €;12,50%\r\n01/02/2024;Nîmes;87,00 €;7,00%\r\n",
    ),
    reading: { separator: ";", decimal: ",", encoding: "windows-1252" },
    columns: {
      Date: dates("2024-12-31", "2024-02-01"),
      Ville: texts("Orléans", "Nîmes"),
      Montant: numbers(1234.5, 87),
      Taux: numbers(12.5, 7),
    },
  },
  {
    what: "Excel in Swiss German",
    body: windows("Datum;Ort;Betrag\r\n31.12.2024;Zürich;CHF 1'234.50\r\n01.02.2024;Genève;CHF 12.00\r\n"),
    reading: { separator: ";", encoding: "windows-1252" },
    columns: {
      Datum: dates("2024-12-31", "2024-02-01"),
      Ort: texts("Zürich", "Genève"),
      Betrag: numbers(1234.5, 12),
    },
  },
  {
    what: "Excel in American English, with accounting formats",
    body:
      "\uFEFFDate,Region,Sales,Margin,Change,Active\r\n" +
      '12/31/2024,West," $1,234.50 ",10.00%,(5.25),TRUE\r\n' +
      "1/2/2024,East, $987.00 ,2.50%,3.00,FALSE\r\n" +
      "1/15/2024,#N/A,#N/A,#N/A,#N/A,#N/A\r\n",
    columns: {
      Date: dates("2024-12-31", "2024-01-02", "2024-01-15"),
      Region: texts("West", "East", null),
      Sales: numbers(1234.5, 987, null),
      Margin: numbers(10, 2.5, null),
      Change: numbers(-5.25, 3, null),
      Active: booleans("TRUE", "FALSE", null),
    },
  },
  {
    what: "Excel with an error in a cell",
    body: "a,b\r\n1,0.5\r\n2,#DIV/0!\r\n",
    columns: { a: numbers(1, 2), b: because(texts("0.5", "#DIV/0!"), 3, "#DIV/0!", /./) },
  },
  {
    what: "Excel's text with tabs, in UTF-16",
    body: Buffer.from('\uFEFFName\tWert\r\nÄpfel\t1,5\r\n"Birnen, reif"\t2,25\r\n', "utf16le"),
    reading: { separator: "\t", decimal: ",", encoding: "utf-16le" },
    columns: { Name: texts("Äpfel", "Birnen, reif"), Wert: numbers(1.5, 2.25) },
  },
  {
    what: "Google Sheets",
    body: 'When,Who,Score,OK\r\n1/31/2024,"Doe, Jane",1.5,TRUE\r\n2/1/2024,Li,,FALSE',
    columns: {
      When: dates("2024-01-31", "2024-02-01"),
      Who: texts("Doe, Jane", "Li"),
      Score: numbers(1.5, null),
      OK: booleans("TRUE", "FALSE"),
    },
  },
  {
    what: "LibreOffice in German with all texts in quotes",
    body: '"Name";"Wert";"Tag"\n"Äpfel";1,5;31.12.2024\n"Birnen";;01.02.2024\n',
    reading: { separator: ";", decimal: "," },
    columns: {
      Name: texts("Äpfel", "Birnen"),
      Wert: numbers(1.5, null),
      Tag: dates("2024-12-31", "2024-02-01"),
    },
  },
  {
    what: "LibreOffice with percentages and thousands",
    body: 'Share,Amount\n12.50%,"1,234.50"\n5.00%,"2,000,000.00"\n',
    columns: { Share: numbers(12.5, 5), Amount: numbers(1234.5, 2_000_000) },
  },
  {
    what: "Apple's Numbers in French",
    body: "\uFEFFNom;Prix;Jour\nÉclair;2,50 €;31/12/2024\nFlan;3,00 €;01/02/2024",
    reading: { separator: ";", decimal: "," },
    columns: {
      Nom: texts("Éclair", "Flan"),
      Prix: numbers(2.5, 3),
      Jour: dates("2024-12-31", "2024-02-01"),
    },
  },
  {
    what: "pandas",
    body: ",when,value,flag,kind\n0,2024-01-31 00:00:00,1.5,True,a\n1,2024-02-01 12:30:00,,False,\n2,,3.0,True,b\n",
    columns: {
      index: numbers(0, 1, 2),
      when: dates("2024-01-31", "2024-02-01T12:30Z", null),
      value: numbers(1.5, null, 3),
      flag: booleans("True", "False", "True"),
      kind: texts("a", null, "b"),
    },
  },
  {
    what: "pandas with German marks and na_rep",
    body: ";wert;art\n0;1,5;a\n1;NULL;b\n2;1000,25;NULL\n",
    reading: { separator: ";", decimal: "," },
    columns: {
      index: numbers(0, 1, 2),
      wert: numbers(1.5, null, 1000.25),
      art: texts("a", "b", null),
    },
  },
  {
    what: "pandas' index that was read and written again",
    body: "Unnamed: 0,x\n0,5\n1,7\n",
    columns: { "Unnamed: 0": numbers(0, 1), x: numbers(5, 7) },
  },
  {
    what: "R's write.csv",
    body: '"","mpg","kind","late","day"\n"1",21,"a",TRUE,"2024-01-31"\n"2",NA,NA,FALSE,NA\n"3",1e+05,"b",NA,"2024-02-01"\n',
    columns: {
      index: numbers(1, 2, 3),
      mpg: numbers(21, null, 100_000),
      kind: texts("a", "NA", "b"),
      late: booleans("TRUE", "FALSE", null),
      day: dates("2024-01-31", null, "2024-02-01"),
    },
  },
  {
    what: "R's write.csv2",
    body: '"x";"y"\n1,5;"a"\nNA;"b"\n',
    reading: { separator: ";", decimal: "," },
    columns: { x: numbers(1.5, null), y: texts("a", "b") },
  },
  {
    what: "R's readr",
    body: "when,value,ok\n2024-01-31T12:30:00Z,1.5,TRUE\nNA,NA,FALSE\n",
    columns: {
      when: dates("2024-01-31T12:30Z", null),
      value: numbers(1.5, null),
      ok: booleans("TRUE", "FALSE"),
    },
  },
  {
    what: "sqlite3 in mode csv",
    body:
      'id,name,price,note\r\n1,plain,1.5,\r\n2,"with, comma",20000000000.0,"say ""hi"""\r\n3,"two\nlines",,""\r\n' +
      '4,"single \'quote\'",-0.25," padded "\r\n',
    columns: {
      id: numbers(1, 2, 3, 4),
      name: texts("plain", "with, comma", "two\nlines", "single 'quote'"),
      price: numbers(1.5, 2e10, null, -0.25),
      note: texts(null, 'say "hi"', null, " padded "),
    },
  },
  {
    what: "PostgreSQL's COPY",
    body: 'id,at,paid,note\n1,2024-01-31 12:30:00.25+00,t,"a ""b"""\n2,,f,""\n',
    columns: {
      id: numbers(1, 2),
      at: dates("2024-01-31T12:30:00.250Z", null),
      paid: texts("t", "f"),
      note: texts('a "b"', null),
    },
  },
  {
    what: "MySQL's NULL",
    body: "id\tvalue\n1\t1.5\n2\tNULL\n3\t2.5\n",
    reading: { separator: "\t" },
    columns: { id: numbers(1, 2, 3), value: numbers(1.5, null, 2.5) },
  },
  {
    what: "Spark",
    body: 'id,at,ok,note\n1,2024-01-31T12:30:00.000Z,true,""\n2,2024-02-01T00:00:00.000+01:00,false,x\n',
    columns: {
      id: numbers(1, 2),
      at: dates("2024-01-31T12:30Z", "2024-01-31T23:00Z"),
      ok: booleans("true", "false"),
      note: texts(null, "x"),
    },
  },
  {
    what: "Polars and DuckDB",
    body: "day,at,x,ok\n2024-01-31,2024-01-31T12:30:00.000000,1e-7,true\n2024-02-01,2024-02-01T00:00:00.500000,,false\n",
    columns: {
      day: dates("2024-01-31", "2024-02-01"),
      at: dates("2024-01-31T12:30Z", "2024-02-01T00:00:00.500Z"),
      x: numbers(1e-7, null),
      ok: booleans("true", "false"),
    },
  },
  {
    what: "SAS and Stata, where a point is missing",
    body: "id,score,group\n1,.,a\n2,3.5,b\n3,4,a\n",
    columns: { id: numbers(1, 2, 3), score: numbers(null, 3.5, 4), group: texts("a", "b", "a") },
  },
  {
    what: "Weka, where a question mark is missing",
    body: "age,job,class\n39,?,yes\n?,clerk,no\n",
    columns: { age: numbers(39, null), job: texts(null, "clerk"), class: booleans("yes", "no") },
  },
  {
    what: "a page of stock prices",
    body: '"Date","Price","Vol.","Change %"\n"01/31/2024","4,845.65","2.31B","-1.61%"\n"01/30/2024","4,924.97","","-0.06%"\n',
    columns: {
      Date: dates("2024-01-31", "2024-01-30"),
      Price: numbers(4845.65, 4924.97),
      "Vol.": texts("2.31B", null),
      "Change %": numbers(-1.61, -0.06),
    },
  },
];
