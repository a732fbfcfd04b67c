/** The operations of the in-process S3 on buckets. */
import { malformedXml, readDocument } from "./documents.js";
import { type Operations, xml } from "./operation.js";
import { s3Fault } from "./s3-fault.js";
import type { Versioning } from "./versions.js";
import { childrenOf, childText, element, group, type XmlElement, xmlDocument } from "./xml.js";

/** Who owns all buckets. */
export const account = "111122223333";

export const bucketOperations: Operations = {
  ListBuckets({ store }) {
    const buckets = store.buckets.map(({ name, created }) =>
      group("Bucket", [element("Name", name), element("CreationDate", created.toISOString())]),
    );
    const result = [group("Owner", [element("ID", account)]), group("Buckets", buckets)];
    return { status: 200, headers: xml, body: [xmlDocument("ListAllMyBucketsResult", result)] };
  },

  async CreateBucket({ store, request, bucket, region }) {
    const document = await readDocument(request, "CreateBucketConfiguration", { optional: true });
    requireLocation(document, region);
    store.createBucket(bucket);
    return { status: 200, headers: { location: `/${bucket}` } };
  },

  HeadBucket({ store, bucket, region }) {
    store.requireBucket(bucket);
    return { status: 200, headers: { "x-amz-bucket-region": region } };
  },

  DeleteBucket({ store, uploads, bucket }) {
    if (uploads.inBucket(bucket).length > 0) {
      throw s3Fault("BucketNotEmpty", "The bucket you tried to delete has unfinished uploads");
    }
    store.deleteBucket(bucket);
    return { status: 204 };
  },

  GetBucketLocation({ store, bucket, region }) {
    store.requireBucket(bucket);
    const document = `<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${region === "us-east-1" ? "" : region}</LocationConstraint>`;
    return { status: 200, headers: xml, body: [Buffer.from(document)] };
  },

  GetBucketVersioning({ store, bucket }) {
    const status = element("Status", store.versioning(bucket));
    return { status: 200, headers: xml, body: [xmlDocument("VersioningConfiguration", [status])] };
  },

  async PutBucketVersioning({ store, request, bucket }) {
    const document = await readDocument(request, "VersioningConfiguration");
    if (childrenOf(document, "MfaDelete").length > 0) throw s3Fault("NotImplemented", "MfaDelete");
    const status = childText(document, "Status");
    if (status !== "Enabled" && status !== "Suspended") throw malformedXml();
    store.setVersioning(bucket, status satisfies Versioning);
    return { status: 200 };
  },
};

/** A bucket is made where the server is. The oldest region has no name here. */
function requireLocation(document: XmlElement | undefined, region: string): void {
  if (document?.children.some(({ name }) => name !== "LocationConstraint")) {
    throw s3Fault("NotImplemented", "CreateBucketConfiguration with more than a LocationConstraint");
  }
  const stated = childText(document, "LocationConstraint") ?? "";
  if (stated === "us-east-1" && stated === region) {
    throw s3Fault("InvalidLocationConstraint", "The specified location-constraint is not valid");
  }
  if (stated !== "" && stated !== region) {
    throw s3Fault(
      "IllegalLocationConstraintException",
      `The ${stated} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    );
  }
}
