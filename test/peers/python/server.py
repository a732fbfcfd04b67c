"""The S3 Encryption Client for Python behind the test protocol: HTTP on loopback until standard input ends."""

import binascii
import io
import json
import os
import sys
import threading
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import boto3
from botocore.config import Config
from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.instruction_file_config import InstructionFileConfig
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite, CommitmentPolicy

TYPES = "software.amazon.encryption.s3#"
REFUSED, GENERIC = "S3EncryptionClientError", "GenericServerError"
PART_BYTES = 5 * 1024 * 1024


class ProtocolError(Exception):
    """What this server does not do: no refusal of the encryption client."""

    def __init__(self, message, status=500):
        super().__init__(message)
        self.status = status


def service(name, **options):
    """A client of S3 or KMS that does not retry."""
    endpoint = os.environ[f"{name.upper()}_ENDPOINT"]
    config = Config(retries={"total_max_attempts": 1}, **options)
    return boto3.client(name, endpoint_url=endpoint, region_name=os.environ["AWS_REGION"], config=config)


class Client:
    """An encryption client with an S3 client of its own: it leaves its hooks on the one that it is given."""

    def __init__(self, config):
        material = config.get("keyMaterial") or {}
        if not material.get("kmsKeyId"):
            raise ProtocolError("this client has KMS keys only")
        instruction = config.get("instructionFileConfig") or {}
        if instruction.get("enableInstructionFilePutObject"):
            raise ProtocolError("this client writes no instruction files")
        if config.get("setBufferSize") is not None:
            raise ProtocolError("this client has no buffer to set the size of")
        options = {}
        if config.get("encryptionAlgorithm"):
            options["encryption_algorithm"] = AlgorithmSuite[config["encryptionAlgorithm"]]
        if config.get("commitmentPolicy"):
            options["commitment_policy"] = CommitmentPolicy[config["commitmentPolicy"]]
        keyring = KmsKeyring(
            service("kms"),
            material["kmsKeyId"],
            enable_legacy_wrapping_algorithms=bool(config.get("enableLegacyWrappingAlgorithms")),
        )
        self.multipart = (config.get("peer") or {}).get("put") == "multipart"
        self.client = S3EncryptionClient(
            service("s3", s3={"addressing_style": "path"}),
            S3EncryptionClientConfig(
                keyring=keyring,
                enable_legacy_unauthenticated_modes=bool(config.get("enableLegacyUnauthenticatedModes")),
                enable_delayed_authentication=bool(config.get("enableDelayedAuthenticationMode")),
                instruction_file_config=InstructionFileConfig(
                    disable_get_object=bool(instruction.get("disableInstructionFile"))
                ),
                **options,
            ),
        )

    def put(self, bucket, key, body, context):
        if not self.multipart:
            self.client.put_object(Bucket=bucket, Key=key, Body=body, EncryptionContext=context)
            return
        self.client.upload_fileobj(
            io.BytesIO(body), bucket, key, multipart_chunksize=PART_BYTES, EncryptionContext=context
        )

    def get(self, bucket, key, context, span, suffix):
        given = {"Range": span, "InstructionFileSuffix": suffix}
        options = {name: value for name, value in given.items() if value is not None}
        answer = self.client.get_object(Bucket=bucket, Key=key, EncryptionContext=context, **options)
        return answer["Body"].read()


CLIENTS = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else an answer's last bytes wait for the acknowledgement of its first.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def header(self, name):
        """A header's value: its bytes are UTF-8, and come as characters."""
        value = self.headers.get(name)
        return None if value is None else value.encode("latin-1").decode("utf-8")

    def context(self):
        text = self.header("Content-Metadata")
        if not text:
            return {}
        pairs = [entry.split("]:[", 1) for entry in text.split(",")]
        if not all(len(pair) == 2 for pair in pairs):
            raise ProtocolError("malformed Content-Metadata")
        return {name[1:]: value[:-1] for name, value in pairs}

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            status, answer = 200, self.dispatch(body)
        except ProtocolError as error:
            status, answer = error.status, failure(GENERIC, error)
        except (json.JSONDecodeError, UnicodeError, KeyError, binascii.Error) as error:
            traceback.print_exc()
            status, answer = 500, failure(GENERIC, error)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Content-Metadata", "")
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = do_POST = handle_any

    def dispatch(self, body):
        _, kind, *names = self.path.split("?")[0].split("/")
        names = [unquote(name) for name in names]
        match self.command, kind, len(names):
            case "POST", "client", 0:
                config = json.loads(body)["config"]
                client_id = str(uuid.uuid4())
                CLIENTS[client_id] = refusals(lambda: Client(config))
                return encode({"clientId": client_id})
            case "PUT", "object", 2:
                bucket, key = names
                client, context = self.client(), self.context()
                refusals(lambda: client.put(bucket, key, body, context))
                return encode({"bucket": bucket, "key": key, "metadata": []})
            case "GET", "object", 2:
                bucket, key = names
                client, context = self.client(), self.context()
                span, suffix = self.header("Range"), self.header("InstructionFileSuffix")
                return refusals(lambda: client.get(bucket, key, context, span, suffix))
        raise ProtocolError(f"no such operation: {self.command} {kind} {len(names)}")

    def client(self):
        found = CLIENTS.get(self.header("ClientID"))
        if found is None:
            raise ProtocolError("no such client", 404)
        return found


class Refusal(ProtocolError):
    """The encryption client's own no."""


def refusals(work):
    try:
        return work()
    except ProtocolError:
        raise
    except Exception as error:
        raise Refusal(str(error) or type(error).__name__) from error


def failure(kind, error):
    kind = REFUSED if isinstance(error, Refusal) else kind
    return encode({"__type": TYPES + kind, "message": str(error)})


def encode(value):
    return json.dumps(value).encode()


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"port": server.server_address[1]}), flush=True)
sys.stdin.buffer.read()
