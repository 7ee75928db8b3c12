// The thread of a lane that never returns to its event loop.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
