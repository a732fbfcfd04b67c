/** The conformance server of this library. PORT is the port for the public suite; S3_ENDPOINT and KMS_ENDPOINT, if any, local. */
import { KMSClient } from "@aws-sdk/client-kms";
import { S3Client } from "@aws-sdk/client-s3";
import { runConformanceServer } from "../conformance-server.js";
import { ourPeer } from "./client.js";

const { S3_ENDPOINT, KMS_ENDPOINT } = process.env;
const s3 = new S3Client(S3_ENDPOINT === undefined ? {} : { endpoint: S3_ENDPOINT, forcePathStyle: true });
const kms = new KMSClient(KMS_ENDPOINT === undefined ? {} : { endpoint: KMS_ENDPOINT });
await runConformanceServer(ourPeer(s3, kms));
