"""Keys, tokens and certificates for nats-servers, made with openssl's program.

Nkeys are https://docs.nats.io/using-nats/developer/connecting/nkey: Ed25519 keys in
base32 with a prefix and a CRC. Tokens (JWT) are as nsc makes them.
"""

import base64
import json
import os
import shutil
import subprocess
import time

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3
SEED = 18 << 3


def can_make():
    return shutil.which("openssl") is not None


def openssl(*arguments, cwd=None):
    return subprocess.run(
        ["openssl", *arguments], capture_output=True, check=True, cwd=cwd
    ).stdout


def _crc16(data):
    """CRC-16/XMODEM."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _encoded(data):
    data += _crc16(data).to_bytes(2, "little")
    return base64.b32encode(data).decode().rstrip("=")


def _base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Nkey:
    """A pair of keys in a folder."""

    def __init__(self, folder, name, kind=USER):
        self._pem = os.path.join(folder, f"{name}.pem")
        self._folder = folder
        openssl("genpkey", "-algorithm", "ed25519", "-out", self._pem)
        # Both keys are the last 32 bytes of their DER: RFC 8410.
        secret = openssl("pkey", "-in", self._pem, "-outform", "DER")[-32:]
        public = openssl("pkey", "-in", self._pem, "-pubout", "-outform", "DER")[-32:]
        self.public = _encoded(bytes([kind]) + public)
        head = bytes([SEED | kind >> 5, (kind & 31) << 3])
        self.seed = _encoded(head + secret)

    def sign(self, data):
        path = self._pem + ".data"
        with open(path, "wb") as file:
            file.write(data)
        return openssl("pkeyutl", "-sign", "-inkey", self._pem, "-rawin", "-in", path)

    def answer(self, info, **connect):
        """What CONNECT says to a server that wants a signature."""
        signature = _base64url(self.sign(info["nonce"].encode()))
        return {"sig": signature, **connect}

    def token(self, subject, name, nats):
        """A JWT about `subject`, signed by this key."""
        claims = {
            "jti": name,
            "iat": int(time.time()),
            "iss": self.public,
            "name": name,
            "sub": subject,
            "nats": {"version": 2, **nats},
        }
        text = ".".join(
            _base64url(json.dumps(part).encode())
            for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims)
        )
        return f"{text}.{_base64url(self.sign(text.encode()))}"


class Operator:
    """An operator with an account that has JetStream, and one user of it."""

    def __init__(self, folder):
        operator = Nkey(folder, "operator", OPERATOR)
        system = Nkey(folder, "system", ACCOUNT)
        account = Nkey(folder, "account", ACCOUNT)
        self.user = Nkey(folder, "user")
        limits = {
            key: -1
            for key in ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
        }
        storage = {
            key: -1 for key in ("mem_storage", "disk_storage", "streams", "consumer")
        }
        about = {"type": "account", "limits": {**limits, "wildcards": True}}
        has_streams = {**about, "limits": {**about["limits"], **storage}}
        said = {"type": "operator", "system_account": system.public}
        preload = {
            system.public: operator.token(system.public, "SYS", about),
            account.public: operator.token(account.public, "EDGE", has_streams),
        }
        lines = "".join(f"  {key}: {token}\n" for key, token in preload.items())
        self.config = (
            f"operator: {operator.token(operator.public, 'OP', said)}\n"
            f"resolver: MEMORY\nresolver_preload {{\n{lines}}}\n"
        )
        self.user_token = account.token(
            self.user.public,
            "bridge",
            {"type": "user", "subs": -1, "data": -1, "payload": -1},
        )
        self.credentials = (
            f"-----BEGIN NATS USER JWT-----\n{self.user_token}\n"
            "------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{self.user.seed}\n"
            "------END USER NKEY SEED------\n"
        )


def make_certificates(folder):
    """ca.pem, and what it signs: server.pem for localhost, client.pem, with keys; and
    other-ca.pem, which signs nothing."""

    def request(name, *more):
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}-key.pem"),
            *more,
            cwd=folder,
        )
        os.chmod(os.path.join(folder, f"{name}-key.pem"), 0o600)

    for name in ("ca", "other-ca"):
        request(name, "-x509", "-days", "2", "-out", f"{name}.pem")
    with open(os.path.join(folder, "names"), "w", encoding="utf-8") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        request(name, "-out", f"{name}.csr")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-days", "2"),
            *("-CAkey", "ca-key.pem", "-CAcreateserial", "-extfile", "names"),
            *("-out", f"{name}.pem"),
            cwd=folder,
        )
