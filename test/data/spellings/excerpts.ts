/** The first rows of well-known data sets, as they are found (test/data/excerpts). */
import type { Reading } from "../../../src/data/reading.ts";

export interface Excerpt {
  readonly query?: Readonly<Record<string, string>>;
  readonly reading?: Partial<Reading>;
  readonly rows: number;
  /** Each column's type and missing cells, in their order. */
  readonly columns: readonly (readonly [name: string, type: string, missing?: number])[];
  /** What made a column text: line and cell. */
  readonly reasons?: Readonly<Record<string, readonly [line: number, cell: string]>>;
  /** By column: some rows, from 0, and their values. */
  readonly values: Readonly<Record<string, readonly (readonly [row: number, value: string | number | null])[]>>;
}

const unnamed = (types: string, missing: Record<number, number> = {}) =>
  types.split(" ").map((type, i) => {
    const full = { n: "numeric", c: "categorical", b: "boolean" }[type]!;
    return [`column_${i + 1}`, full, missing[i + 1] ?? 0] as const;
  });
const numeric = (...names: string[]) => names.map((name) => [name, "numeric"] as const);
const categorical = (...names: string[]) => names.map((name) => [name, "categorical"] as const);

const headless = { query: { header: "false" }, reading: { header: false } };
const ADULT = "n c n c n c c c c c n n n c c";

export const excerpts: Record<string, Excerpt> = {
  "titanic.csv": {
    rows: 30,
    columns: [
      ...numeric("PassengerId", "Survived", "Pclass"),
      ...categorical("Name", "Sex"),
      ["Age", "numeric", 6],
      ...numeric("SibSp", "Parch"),
      ...categorical("Ticket"),
      ...numeric("Fare"),
      ["Cabin", "categorical", 22],
      ...categorical("Embarked"),
    ],
    reasons: { Ticket: [2, "A/5 21171"] },
    values: {
      Age: [
        [4, 35],
        [5, null],
      ],
      Name: [
        [15, "Hewlett, Mrs. (Mary D Kingcome) "],
        [22, 'McGowan, Miss. Anna "Annie"'],
      ],
      Fare: [[27, 263]],
      Cabin: [[27, "C23 C25 C27"]],
    },
  },
  "adult.data": {
    ...headless,
    rows: 16,
    columns: unnamed(ADULT, { 2: 1, 7: 1, 14: 1 }),
    values: {
      column_2: [
        [0, "State-gov"],
        [15, null],
      ],
      column_15: [[15, ">50K"]],
    },
  },
  "auto-mpg.csv": {
    rows: 13,
    columns: [
      ...numeric("mpg", "cylinders", "displacement"),
      ["horsepower", "numeric", 1],
      ...numeric("weight", "acceleration", "model year", "origin"),
      ...categorical("car name"),
    ],
    values: {
      horsepower: [
        [10, 95],
        [11, null],
      ],
    },
  },
  "house-prices.csv": {
    rows: 12,
    columns: [
      ...numeric("Id", "MSSubClass"),
      ...categorical("MSZoning"),
      ["LotFrontage", "numeric", 1],
      ...numeric("LotArea"),
      ...categorical("Alley", "MasVnrType"),
      ...numeric("MasVnrArea"),
      ["GarageYrBlt", "numeric", 1],
      ...categorical("Fence", "MiscFeature"),
      ...numeric("SalePrice"),
    ],
    values: {
      Alley: [
        [0, "NA"],
        [10, "Grvl"],
      ],
      MasVnrType: [[1, "None"]],
      LotFrontage: [[7, null]],
    },
  },
  "diabetes.csv": {
    rows: 10,
    columns: [
      ...numeric("Pregnancies", "Glucose", "BloodPressure", "SkinThickness", "Insulin", "BMI"),
      ...numeric("DiabetesPedigreeFunction", "Age", "Outcome"),
    ],
    values: { DiabetesPedigreeFunction: [[4, 2.288]] },
  },
  "winequality-red.csv": {
    reading: { separator: ";" },
    rows: 10,
    columns: [
      ...numeric("fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides"),
      ...numeric("free sulfur dioxide", "total sulfur dioxide", "density", "pH", "sulphates"),
      ...numeric("alcohol", "quality"),
    ],
    values: { density: [[2, 0.997]] },
  },
  "iris.data": {
    ...headless,
    rows: 10,
    columns: unnamed("n n n n c"),
    values: { column_1: [[1, 4.9]], column_5: [[9, "Iris-virginica"]] },
  },
  "penguins.csv": {
    rows: 10,
    columns: [
      ...categorical("species", "island"),
      ["bill_length_mm", "numeric", 1],
      ["bill_depth_mm", "numeric", 1],
      ["flipper_length_mm", "numeric", 1],
      ["body_mass_g", "numeric", 1],
      ...categorical("sex"),
      ...numeric("year"),
    ],
    values: { sex: [[3, "NA"]], bill_length_mm: [[3, null]] },
  },
  "telco-churn.csv": {
    rows: 10,
    columns: [
      ...categorical("customerID", "gender"),
      ...numeric("SeniorCitizen"),
      ["Partner", "boolean"],
      ...numeric("tenure"),
      ...categorical("MultipleLines"),
      ...numeric("MonthlyCharges"),
      ["TotalCharges", "numeric", 1],
      ["Churn", "boolean"],
    ],
    values: {
      TotalCharges: [
        [8, 3046.05],
        [9, null],
      ],
    },
  },
  "bank-full.csv": {
    reading: { separator: ";" },
    rows: 10,
    columns: [
      ...numeric("age"),
      ...categorical("job", "marital", "education"),
      ["default", "boolean"],
      ...numeric("balance"),
      ["housing", "boolean"],
      ["loan", "boolean"],
      ...categorical("contact"),
      ...numeric("day"),
      ...categorical("month"),
      ...numeric("duration", "campaign", "pdays", "previous"),
      ...categorical("poutcome"),
      ["y", "boolean"],
    ],
    values: {
      pdays: [[0, -1]],
      y: [
        [0, "no"],
        [9, "yes"],
      ],
    },
  },
  "household-power.txt": {
    reading: { separator: ";" },
    rows: 8,
    columns: [
      ["Date", "date"],
      ...categorical("Time"),
      ["Global_active_power", "numeric", 2],
      ["Global_reactive_power", "numeric", 2],
      ["Voltage", "numeric", 2],
      ["Global_intensity", "numeric", 2],
      ["Sub_metering_1", "numeric", 2],
      ["Sub_metering_2", "numeric", 2],
      ["Sub_metering_3", "numeric", 2],
    ],
    values: {
      Date: [
        [0, Date.UTC(2006, 11, 16)],
        [7, Date.UTC(2007, 0, 1)],
      ],
      Voltage: [
        [0, 234.84],
        [5, null],
      ],
    },
  },
  "air-passengers.csv": {
    rows: 12,
    columns: [
      ["Month", "date"],
      ["#Passengers", "numeric"],
    ],
    values: { Month: [[11, Date.UTC(1949, 11, 1)]] },
  },
  "airquality.csv": {
    rows: 10,
    columns: [
      ["index", "numeric"],
      ["Ozone", "numeric", 2],
      ["Solar.R", "numeric", 2],
      ...numeric("Wind", "Temp", "Month", "Day"),
    ],
    values: {
      Ozone: [
        [3, 18],
        [4, null],
      ],
    },
  },
  "breast-cancer-wisconsin.data": {
    ...headless,
    rows: 10,
    columns: unnamed("n n n n n n n n n n n", { 7: 1 }),
    values: { column_7: [[9, null]] },
  },
  "heart.data": {
    ...headless,
    rows: 7,
    columns: unnamed("n n n n n n n n n n n n n n", { 12: 1, 13: 1 }),
    values: {
      column_12: [[6, null]],
      column_13: [[5, null]],
    },
  },
  "online-retail.csv": {
    rows: 7,
    columns: [
      ...categorical("InvoiceNo", "StockCode"),
      ["Description", "categorical", 1],
      ...numeric("Quantity"),
      ...categorical("InvoiceDate"),
      ...numeric("UnitPrice"),
      ["CustomerID", "numeric", 1],
      ...categorical("Country"),
    ],
    reasons: { InvoiceNo: [7, "C536379"], StockCode: [2, "85123A"], InvoiceDate: [2, "12/1/2010 8:26"] },
    values: { UnitPrice: [[5, 27.5]] },
  },
  "student-mat.csv": {
    reading: { separator: ";" },
    rows: 6,
    columns: [
      ...categorical("school", "sex"),
      ...numeric("age"),
      ...categorical("address", "famsize", "Pstatus", "Mjob", "guardian"),
      ...numeric("traveltime"),
      ["schoolsup", "boolean"],
      ["famsup", "boolean"],
      ...numeric("absences", "G1", "G2", "G3"),
    ],
    values: { G2: [[3, 14]] },
  },
};
