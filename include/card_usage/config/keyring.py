"""Keyring: the master keys of CARD_USAGE_KEY. They wrap data keys (config/day_keys.py) and seal the platform's tokens.

CARD_USAGE_KEY lists keys as `id:base64`, or `id:sm4:base64`, comma-separated, 32 bytes each. The first key wraps; all
keys unwrap. `sm4` stands for SM4-GCM and SM3 in the place of AES-256-GCM and SHA-256, for all that is made under that
key. The last one, the founding key, also keys the seals of the chain of evidence, and the digests of events that
version 0.2.0 or before took in; so it must stay in the list. To rotate, insert a new key in front, and `keys rotate`.

Nonces are random, 96 bits: under one key at most 2^32 encryptions (NIST SP 800-38D, 8.3). A master key makes one for
each hospital and day and one for each token.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from card_usage.errors import BadKey, WrongKey

Algorithm = Literal["aes", "sm4"]

MOST_SEALED: Final = 2**32
"""Encryptions under one key, with random nonces of 96 bits."""

_NONCE = 12
_TAG = 16
_BLOCK = 64
_HASHES: Final[Mapping[Algorithm, str]] = {"aes": "sha256", "sm4": "sm3"}


class Sealed(NamedTuple):
    """Bytes encrypted with the key `key_id`: 12 bytes nonce, ciphertext, 16 bytes tag."""

    key_id: str
    blob: bytes


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...


class _Sm4Gcm:
    """SM4 (GB/T 32907) in GCM, in the form of `AESGCM`; of 32 bytes the first 16 are the key."""

    def __init__(self, secret: bytes) -> None:
        self._key = algorithms.SM4(secret[:16])

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        encryptor = Cipher(self._key, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated_data)
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        decryptor = Cipher(self._key, modes.GCM(nonce, data[-_TAG:])).decryptor()
        decryptor.authenticate_additional_data(associated_data)
        return decryptor.update(data[:-_TAG]) + decryptor.finalize()


class Box:
    """Authenticated encryption with one key. `open` raises WrongKey, which names the key."""

    __slots__ = ("_cipher", "_key_id")

    def __init__(self, key_id: str, algorithm: Algorithm, secret: bytes) -> None:
        self._key_id = key_id
        self._cipher: _Aead = AESGCM(secret) if algorithm == "aes" else _Sm4Gcm(secret)

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """Encrypt. `bound_to`: additional authenticated data, which `open` needs again."""
        nonce = os.urandom(_NONCE)
        return Sealed(self._key_id, nonce + self._cipher.encrypt(nonce, plain, bound_to))

    def seal_with(self, nonce: bytes, plain: bytes, *, bound_to: bytes) -> Sealed:
        """Encrypt with a nonce that belongs to these very bytes."""
        return Sealed(self._key_id, nonce + self._cipher.encrypt(nonce, plain, bound_to))

    def open(self, blob: bytes, *, bound_to: bytes) -> bytes:
        """Decrypt."""
        try:
            return self._cipher.decrypt(blob[:_NONCE], blob[_NONCE:], bound_to)
        except (InvalidTag, ValueError):  # ValueError: shorter than nonce and tag
            raise WrongKey(key_id=self._key_id) from None


class KeyedDigest:
    """HMAC (RFC 2104) over SHA-256 or SM3. It uses two hashes that start with the key: computed once, copied for every
    row."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, algorithm: Algorithm, secret: bytes) -> None:
        block = secret.ljust(_BLOCK, b"\0")
        self._inner: Any = hashlib.new(_HASHES[algorithm], bytes(byte ^ 0x36 for byte in block))
        self._outer: Any = hashlib.new(_HASHES[algorithm], bytes(byte ^ 0x5C for byte in block))

    def __call__(self, text: str) -> str:
        """32 hex characters: equal for equal texts; without the key a text cannot be guessed from it."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return str(outer.hexdigest()[:32])

    def of_bytes(self, content: bytes) -> bytes:
        """The whole digest, 32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(content)
        outer.update(inner.digest())
        return bytes(outer.digest())


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys by id, in the order of CARD_USAGE_KEY. `folder`: where data keys lie; None: in the ledger's own place
    (ledger/database.py)."""

    _boxes: Mapping[str, Box] = field(repr=False)
    _digest: KeyedDigest = field(repr=False, compare=False)
    _algorithms: Mapping[str, Algorithm]
    current: str
    founding: str
    fingerprint: str
    """Identifies the founding key without revealing it, 16 hex characters."""
    folder: Path | None = None

    @classmethod
    def parse(cls, setting: str) -> Self:
        """Parse `id:[sm4:]base64[,...]`. Raises BadKey, which never quotes the key."""
        boxes: dict[str, Box] = {}
        kinds: dict[str, Algorithm] = {}
        secret, key_id = b"", ""
        for position, part in enumerate(setting.split(","), start=1):
            key_id, colon, text = part.strip().partition(":")
            algorithm: Algorithm = "aes"
            if text.startswith("sm4:"):
                algorithm, text = "sm4", text.removeprefix("sm4:")
            try:
                secret = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                secret = b""
            if not colon or not key_id or len(key_id) > 16 or len(secret) != 32 or key_id in boxes:
                raise BadKey(position=position)
            boxes[key_id], kinds[key_id] = Box(key_id, algorithm, secret), algorithm
        founding = hmac.digest(secret, b"card-usage digest key v1", "sha256")
        fingerprint = hashlib.sha256(b"fingerprint" + founding).hexdigest()[:16]
        digest = KeyedDigest(kinds[key_id], founding)
        return cls(boxes, digest, kinds, next(iter(boxes)), key_id, fingerprint)

    @staticmethod
    def new_key(key_id: str, algorithm: Algorithm = "aes") -> str:
        """A fresh random key in the form of the setting."""
        kind = "" if algorithm == "aes" else f"{algorithm}:"
        return f"{key_id}:{kind}{base64.b64encode(os.urandom(32)).decode()}"

    def with_folder(self, folder: Path | None) -> Self:
        """The same keys, with data keys in another place."""
        return replace(self, folder=folder)

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the master keys, the current one first."""
        return tuple(self._boxes)

    @property
    def algorithm(self) -> Algorithm:
        """Of the current key."""
        return self._algorithms[self.current]

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """Encrypt with the current key. `bound_to`: additional authenticated data, which `open` needs again."""
        return self._boxes[self.current].seal(plain, bound_to=bound_to)

    def seal_lasting(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """The same with the founding key, for what is to be opened after years: that key is never removed. The same
        bytes at the same place give the same result, for the nonce is a keyed digest of both."""
        nonce = self._digest.of_bytes(b"%d:%b%b" % (len(bound_to), bound_to, plain))[:_NONCE]
        return self._boxes[self.founding].seal_with(nonce, plain, bound_to=bound_to)

    def open(self, sealed: Sealed, *, bound_to: bytes) -> bytes:
        """Decrypt. Raises WrongKey if the key is not in the list or the blob does not verify."""
        box = self._boxes.get(sealed.key_id)
        if box is None:
            raise WrongKey(key_id=sealed.key_id)
        return box.open(sealed.blob, bound_to=bound_to)

    def digest(self, text: str) -> str:
        """Digest keyed by the founding key, 32 hex characters."""
        return self._digest(text)
