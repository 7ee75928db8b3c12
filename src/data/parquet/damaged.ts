/** A Parquet file is not as its format demands. The message says where. */
export class DamagedFile extends Error {}
