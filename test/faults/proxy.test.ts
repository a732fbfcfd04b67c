/** Faults of the network in front of the in-process S3 and KMS. */
import { Bucket, useLocalAws } from "../support/local.js";
import { kmsProxyFaults } from "./kms-proxy-faults.js";
import { proxyFaults } from "./proxy-faults.js";

const local = useLocalAws();
proxyFaults("the in-process S3 behind a proxy", () => ({ s3Config: local.aws.s3Config, Bucket }));
kmsProxyFaults("the in-process KMS behind a proxy", () => local.aws.kmsConfig);
