"""Keyring: encryption of patient fields (AES-256-GCM) and keyed digests of events (HMAC-SHA256).

CARD_USAGE_KEY lists keys as `id:base64`, comma-separated, 32 bytes each. The first key encrypts; all keys decrypt. The
last one, the founding key, also keys the digests. By another one every event would seem to have changed in the HIS, so
it must stay in the list. To rotate, insert a new key in front.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from card_usage.errors import BadKey, WrongKey

_NONCE = 12
_BLOCK = 64


class Sealed(NamedTuple):
    """Bytes encrypted with the key `key_id`: 12 bytes nonce, ciphertext, 16 bytes tag."""

    key_id: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys by id, in the order of CARD_USAGE_KEY."""

    _ciphers: Mapping[str, AESGCM] = field(repr=False)
    _digest_key: bytes = field(repr=False)
    current: str
    _inner: Any = field(init=False, repr=False, compare=False)
    _outer: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # HMAC (RFC 2104) uses two hashes that start with the key: computed once here, copied for every row.
        block = self._digest_key.ljust(_BLOCK, b"\0")
        object.__setattr__(self, "_inner", hashlib.sha256(bytes(byte ^ 0x36 for byte in block)))
        object.__setattr__(self, "_outer", hashlib.sha256(bytes(byte ^ 0x5C for byte in block)))

    @classmethod
    def parse(cls, setting: str) -> Keyring:
        """Parse `id:base64[,id:base64...]`. Raises BadKey, which never quotes the key."""
        ciphers: dict[str, AESGCM] = {}
        secret = b""
        for position, part in enumerate(setting.split(","), start=1):
            key_id, colon, text = part.strip().partition(":")
            try:
                secret = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                secret = b""
            if not colon or not key_id or len(key_id) > 16 or len(secret) != 32 or key_id in ciphers:
                raise BadKey(position=position)
            ciphers[key_id] = AESGCM(secret)
        founding = hmac.digest(secret, b"card-usage digest key v1", "sha256")
        return cls(ciphers, founding, next(iter(ciphers)))

    @staticmethod
    def new_key(key_id: str) -> str:
        """A fresh random key in the form of the setting."""
        return f"{key_id}:{base64.b64encode(os.urandom(32)).decode()}"

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """Encrypt with the current key. `bound_to`: additional authenticated data, which `open` needs again."""
        nonce = os.urandom(_NONCE)
        return Sealed(self.current, nonce + self._ciphers[self.current].encrypt(nonce, plain, bound_to))

    def seal_lasting(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """The same with the founding key, for what is to be opened after years: that key is never removed. The same
        bytes at the same place give the same result, for the nonce is a keyed digest of both."""
        founding = list(self._ciphers)[-1]
        nonce = hmac.digest(self._digest_key, b"%d:%b%b" % (len(bound_to), bound_to, plain), "sha256")[:_NONCE]
        return Sealed(founding, nonce + self._ciphers[founding].encrypt(nonce, plain, bound_to))

    def open(self, sealed: Sealed, *, bound_to: bytes) -> bytes:
        """Decrypt. Raises WrongKey if the key is not in the list or the blob does not verify."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise WrongKey(key_id=sealed.key_id)
        try:
            return cipher.decrypt(sealed.blob[:_NONCE], sealed.blob[_NONCE:], bound_to)
        except (InvalidTag, ValueError):  # ValueError: shorter than a nonce
            raise WrongKey(key_id=sealed.key_id) from None

    def digest(self, text: str) -> str:
        """Keyed digest, 32 hex characters: equal for equal texts; without the key a text cannot be guessed from it."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return str(outer.hexdigest()[:32])

    @property
    def fingerprint(self) -> str:
        """Identifies the founding key without revealing it, 16 hex characters."""
        return hashlib.sha256(b"fingerprint" + self._digest_key).hexdigest()[:16]
