"""Tokens that PyPI `PyJWT` signs with a key pair, and with the secret that another one replaces, as a backend would."""

import asyncio
import base64
import hashlib
import hmac
import json
import pathlib
import subprocess
import tempfile

import jwt
import websockets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from harness import Server, binary, done, expect, run

CLAIMS = {"sub": "ann"}
OLD, NEW = "an old secret of 64 bytes and more".ljust(70, "o"), "a new secret that replaces it".ljust(70, "n")


def pairs():
    return {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }


def pem(private):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, form)


async def end(at, token):
    """How a connection with this token begins: its user, or the code that ends it."""
    async with websockets.connect(f"ws://{at}/ws/keys?token={token}") as socket:
        try:
            greeting = json.loads(await asyncio.wait_for(socket.recv(), 5))
            return greeting["authenticated"]
        except websockets.ConnectionClosed:
            return socket.close_code


async def of_pairs(folder):
    keys = pairs()
    settings = ["dev = false", "api_key = '0123456789abcdef'"]
    for name, private in keys.items():
        (folder / f"{name}.pem").write_bytes(pem(private))
        settings += ["[[token_keys]]", f"kid = 'key-{name}'", f"public_key_file = '{folder}/{name}.pem'"]
    file = folder / "pairs.toml"
    file.write_text("\n".join(settings))
    with Server("--config", str(file), "--listen", "127.0.0.1:0", defaults=False) as server:
        for name, private in keys.items():
            for kid in (None, f"key-{name}"):
                token = jwt.encode(CLAIMS, private, name, headers={"kid": kid} if kid else {})
                expect(f"a token of {name} with the kid {kid}", await end(server.address, token), True)
            of_another = jwt.encode(CLAIMS, pairs()[name], name)
            expect(f"a token of another key of {name}", await end(server.address, of_another), 3500)
            forged = {"alg": "HS256", "typ": "JWT"}
            expect(
                f"a token that takes the public key of {name} for a secret",
                await end(server.address, signed_with(pem(keys[name]), forged)),
                3500,
            )
        unknown = jwt.encode(CLAIMS, keys["EdDSA"], "EdDSA", headers={"kid": "another"})
        expect("a token whose kid is unknown", await end(server.address, unknown), 3500)
        unsigned = jwt.encode(CLAIMS, None, "none")
        expect("a token that is not signed", await end(server.address, unsigned), 3500)
    done("token keys: RS256, ES256 and EdDSA of PyJWT, and nothing that only looks like them")


def signed_with(secret, header):
    """A token that PyJWT refuses to sign: its secret is a public key."""
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    text = part(header) + b"." + part(CLAIMS)
    signature = base64.urlsafe_b64encode(hmac.new(secret, text, hashlib.sha256).digest()).rstrip(b"=")
    return (text + b"." + signature).decode()


async def rotation(folder):
    (folder / "old").write_text(OLD + "\n")
    file = folder / "rotation.toml"
    file.write_text(f"dev = false\napi_key = '0123456789abcdef'\ntoken_secret = '{NEW}'\n[[token_keys]]\nsecret_file = '{folder}/old'\n")
    with Server("--config", str(file), "--listen", "127.0.0.1:0", defaults=False) as server:
        for what, secret, expected in (("new", NEW, True), ("old", OLD, True), ("neither", OLD + NEW, 3500)):
            for algorithm in ("HS256", "HS384", "HS512"):
                token = jwt.encode(CLAIMS, secret, algorithm)
                expect(f"a token of {algorithm}, secret {what}", await end(server.address, token), expected)
    shown = subprocess.run([binary(), "config", "show", "--config", str(file)], capture_output=True, text=True)
    expect("config show", (shown.returncode, "[[token_keys]] HS256, HS384, HS512" in shown.stdout), (0, True))
    expect("a secret in config show", OLD in shown.stdout or NEW in shown.stdout, False)
    done("token keys: while one secret replaces another, tokens of both are accepted")


async def steps():
    with tempfile.TemporaryDirectory() as folder:
        await of_pairs(pathlib.Path(folder))
        await rotation(pathlib.Path(folder))


run(steps)
