/** The operations of the in-process S3 on buckets. */
import type { Versioning } from "./object-store.js";
import { malformedXml, type Operations, readDocument, xml } from "./operation.js";
import { s3Fault } from "./s3-fault.js";
import { childText, element, group, xmlDocument } from "./xml.js";

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

  CreateBucket({ store, bucket }) {
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
    const document = await readDocument(request.body, "VersioningConfiguration");
    const status = childText(document, "Status");
    if (status !== "Enabled" && status !== "Suspended") throw malformedXml();
    store.setVersioning(bucket, status satisfies Versioning);
    return { status: 200 };
  },
};
