"""Writes the vectors of this folder with aws-encryption-sdk for Python: pip install aws-encryption-sdk==4.0.7."""

import base64
import json
import os
import platform
from importlib.metadata import version

from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.identifiers import Algorithm, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

HERE = os.path.dirname(os.path.abspath(__file__))
AES_KEY = bytes(range(32))
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_PEM = RSA_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


class Raw(RawMasterKeyProvider):
    provider_id = "s3-envelope"

    def _get_raw_key(self, key_id):
        if key_id == b"rsa-key":
            return WrappingKey(
                WrappingAlgorithm.RSA_OAEP_SHA256_MGF1, RSA_PEM, EncryptionKeyType.PRIVATE
            )
        return WrappingKey(
            WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING, AES_KEY, EncryptionKeyType.SYMMETRIC
        )


def write(name, algorithm, frame_bytes, plaintext, context, key_ids):
    provider = Raw()
    for key_id in key_ids:
        provider.add_master_key(key_id.encode())
    policy = (
        CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        if "COMMIT" in algorithm.name
        else CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    )
    message, _ = EncryptionSDKClient(commitment_policy=policy).encrypt(
        source=plaintext,
        key_provider=provider,
        algorithm=algorithm,
        encryption_context=context,
        frame_length=frame_bytes,
    )
    vector = {
        "writer": "aws-encryption-sdk %s, Python %s" % (version("aws-encryption-sdk"), platform.python_version()),
        "algorithmSuite": algorithm.name,
        "frameBytes": frame_bytes,
        "encryptionContext": context,
        "keyNamespace": Raw.provider_id,
        "keyNames": key_ids,
        "aesKey": AES_KEY.hex(),
        "rsaKey": RSA_PEM.decode() if "rsa-key" in key_ids else None,
        "plaintext": base64.b64encode(plaintext).decode(),
        "message": base64.b64encode(message).decode(),
    }
    with open(os.path.join(HERE, name + ".json"), "w") as file:
        json.dump(vector, file, indent=2)
        file.write("\n")


TEXT = bytes(range(256)) + bytes(44)
UNICODE = {"Größe": "naïve ☃", "\uff5a": "last of the BMP", "\U0001f511": "key \U0001f5dd", "1": "one", "a": ""}
write("signed-two-keys-unicode", Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384, 128, TEXT, UNICODE, ["aes-key", "rsa-key"])
write("committed-empty", Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY, 4096, b"", {}, ["aes-key"])
write("unframed-signed", Algorithm.AES_256_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384, 0, TEXT, {"purpose": "test"}, ["aes-key"])
write("unframed-no-kdf", Algorithm.AES_128_GCM_IV12_TAG16, 0, TEXT, {"purpose": "test"}, ["aes-key"])
