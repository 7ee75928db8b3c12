/** What the elements of an array are in its file. The names are those of NumPy and PyTorch. */
export const dtypes = [
  "bool",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "uint64",
  "int64",
  "float16",
  "bfloat16",
  "float32",
  "float64",
] as const;
export type Dtype = (typeof dtypes)[number];
