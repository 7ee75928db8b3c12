// Functions in double precision for what is computed once a step or once a run: schedules, bias
// corrections, initial values, synthetic data. `Math` of the host will not do: its last bits differ
// between versions of Node. These are compiled in and never change.

export function pow(base: f64, exponent: f64): f64 {
  return NativeMath.pow(base, exponent);
}

export function exp(x: f64): f64 {
  return NativeMath.exp(x);
}

export function log(x: f64): f64 {
  return NativeMath.log(x);
}

export function cos(x: f64): f64 {
  return NativeMath.cos(x);
}
