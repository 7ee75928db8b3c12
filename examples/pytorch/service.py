"""A Rappel service, as Python's standard library talks to it, and safetensors files.

The service is at the first argument of the command, at RAPPEL_API_URL, or at
http://127.0.0.1:8080, and is given the key in RAPPEL_API_KEY.
"""
import json
import os
import struct
import sys
import time
import urllib.error
import urllib.request

import torch

TYPES = {"F32": torch.float32, "I64": torch.int64}


class Service:
    def __init__(self):
        default = os.environ.get("RAPPEL_API_URL", "http://127.0.0.1:8080")
        self.url = (sys.argv[1:] or [default])[0].rstrip("/")
        key = os.environ.get("RAPPEL_API_KEY")
        self.headers = {"authorization": f"Bearer {key}"} if key else {}

    def ask(self, path, body=None, kind="application/json"):
        headers = {**self.headers, **({} if body is None else {"content-type": kind})}
        request = urllib.request.Request(self.url + path, body, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {error.code} {error.read().decode()}") from None

    def json(self, path, value=None):
        return json.loads(self.ask(path, None if value is None else json.dumps(value).encode()))

    def upload(self, name, file, kind="application/octet-stream"):
        """The id of a dataset of these bytes."""
        return json.loads(self.ask(f"/v1/datasets?name={name}", file, kind))["id"]

    def trained(self, spec):
        """A job of this spec, after it has succeeded."""
        job = self.json("/v1/jobs", spec)
        while job["status"] not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.2)
            job = self.json(f"/v1/jobs/{job['id']}")
        if job["status"] != "succeeded":
            raise SystemExit(f"{spec['name']} {job['status']}: {job['error']}")
        return job


def tensors(file):
    """The tensors of a safetensors file, by name."""
    (length,) = struct.unpack("<Q", file[:8])
    header = json.loads(file[8 : 8 + length])
    header.pop("__metadata__", None)
    body = bytearray(file[8 + length :])

    def tensor(dtype, shape, data_offsets):
        begin, end = data_offsets
        if begin == end:
            return torch.empty(shape, dtype=TYPES[dtype])
        return torch.frombuffer(body[begin:end], dtype=TYPES[dtype]).reshape(shape)

    return {name: tensor(**entry) for name, entry in header.items()}


def safetensors(tensors):
    """The safetensors file of these tensors, in the order of their names, as the service has it."""
    names = {dtype: name for name, dtype in TYPES.items()}
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in sorted(tensors.items(), key=lambda entry: entry[0].encode()):
        data = bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist())
        offsets = [len(body), len(body) + len(data)]
        header[name] = {
            "dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets
        }
        body += data
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body
