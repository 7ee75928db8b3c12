"""Writes the files beside it with NumPy 2.4: arrays of every type, in every order."""
import numpy as np
from numpy.lib import format as npy

SHAPE = (4, 3, 2)


def values(type):
    count = np.arange(24).reshape(SHAPE)
    if type == "b1":
        return count % 2 == 1
    return count if type[0] == "u" else (count - 12) * (0.5 if type[0] == "f" else 1)


arrays = {}
for type in ["b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]:
    for order in "CF":
        for mark in "<>" if type[1] != "1" else "|":
            name = f"{type}_{order}_{ {'<': 'little', '>': 'big', '|': 'byte'}[mark] }"
            arrays[name] = np.array(values(type).astype(mark + type), order=order)
np.savez("stored.npz", **arrays)
np.savez_compressed("deflated.npz", **arrays)
for major in (1, 2, 3):
    with open(f"version{major}.npy", "wb") as file:
        npy.write_array(file, values("f4").astype("<f4"), version=(major, 0))
np.save("objects.npy", np.array([1, "a", None], dtype=object))
np.save("records.npy", np.zeros(3, dtype=[("a", "<f4"), ("b", "<i4")]))
np.save("texts.npy", np.array(["a", "bc"]))
np.save("complex.npy", np.zeros(3, dtype="<c8"))
np.save("zeros.npy", np.zeros((2, 0), dtype="<f4"))
np.save("scalar.npy", np.float32(1.5))
