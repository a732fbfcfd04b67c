"""What boto3 does with the in-process S3 and KMS: one check by its name, in a bucket of its own."""

import io
import os
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

s3 = boto3.resource("s3")
client = boto3.client("s3")
kms = boto3.client("kms")


def make_bucket(name):
    configuration = {"LocationConstraint": client.meta.region_name}
    return s3.create_bucket(
        Bucket=name, CreateBucketConfiguration=configuration, ObjectLockEnabledForBucket=False
    )


def refused(code, act):
    try:
        act()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return
    raise AssertionError(f"expected {code}")


def transfers():
    """Up and down in parts, and a copy in parts."""
    bucket = make_bucket("boto-transfers")
    data = os.urandom(12 * 1024 * 1024 + 1)
    parts = TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024)
    extra = {"ACL": "bucket-owner-full-control", "Metadata": {"colour": "blue"}, "ChecksumAlgorithm": "SHA256"}
    bucket.upload_fileobj(io.BytesIO(data), "large", Config=parts, ExtraArgs=extra)
    assert bucket.Object("large").metadata == {"colour": "blue"}
    client.copy({"Bucket": bucket.name, "Key": "large"}, bucket.name, "copy", Config=parts)
    for key in ["large", "copy"]:
        out = io.BytesIO()
        bucket.download_fileobj(key, out, Config=parts)
        assert out.getvalue() == data, key
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket.name, "Key": "large"})
    assert "X-Amz-Signature" in url


def listings():
    """Both versions of the listing, in pages, with prefixes, with owners."""
    bucket = make_bucket("boto-listings")
    keys = [f"folder {i}/ü" for i in range(3)] + ["top"]
    for key in keys:
        bucket.put_object(Key=key, Body=b"x")
    assert [one.key for one in bucket.objects.all()] == keys
    assert [one.key for one in bucket.objects.page_size(1)] == keys
    assert [one.key for one in bucket.objects.filter(Prefix="folder 1", Marker="a")] == keys[1:2]
    assert all(one.owner["ID"] for one in bucket.objects.all())
    for name in ["list_objects", "list_objects_v2"]:
        pages = client.get_paginator(name).paginate(
            Bucket=bucket.name, Delimiter="/", PaginationConfig={"PageSize": 1}
        )
        found = list(pages.search("CommonPrefixes[].Prefix || Contents[].Key"))
        assert [one for one in found if one] == ["folder 0/", "folder 1/", "folder 2/", "top"], found
    page = client.list_objects_v2(Bucket=bucket.name, FetchOwner=True)
    assert page["Contents"][0]["Owner"]["ID"]
    names = [b["Name"] for p in client.get_paginator("list_buckets").paginate(
        Prefix="boto-", PaginationConfig={"PageSize": 1}) for b in p["Buckets"]]
    assert bucket.name in names and "first-bucket" not in names, names


def versions():
    """Versions, markers, and tags."""
    bucket = make_bucket("boto-versions")
    bucket.Versioning().enable()
    for body in [b"first", b"second"]:
        bucket.put_object(Key="key", Body=body)
    bucket.Object("key").delete()
    assert len(list(bucket.object_versions.all())) == 3
    refused("NoSuchKey", lambda: bucket.Object("key").get())
    client.delete_objects(
        Bucket=bucket.name,
        Delete={"Objects": [{"Key": "key", "VersionId": one.id} for one in bucket.object_versions.all()]},
        BypassGovernanceRetention=True,
    )
    bucket.delete()
    client.get_waiter("bucket_not_exists").wait(Bucket=bucket.name)


def deletions():
    """A bucket goes with its unfinished uploads, and not with its objects."""
    bucket = make_bucket("boto-deletions")
    client.create_multipart_upload(Bucket=bucket.name, Key="unfinished")
    bucket.put_object(Key="key", Body=b"x", ACL="private")
    refused("BucketNotEmpty", bucket.delete)
    bucket.objects.all().delete()
    bucket.delete()
    refused("NoSuchBucket", bucket.delete)
    refused("NotImplemented", lambda: client.get_bucket_acl(Bucket="first-bucket"))


def keys():
    """Data keys under an alias, listed in pages."""
    policy = '{"Version": "2012-10-17", "Statement": []}'
    key = kms.create_key(Policy=policy, Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    assert key["EncryptionAlgorithms"] == ["SYMMETRIC_DEFAULT"]
    assert kms.get_key_policy(KeyId=key["KeyId"])["Policy"] == policy
    for name in ["alias/boto-1", "alias/boto-2"]:
        kms.create_alias(AliasName=name, TargetKeyId=key["KeyId"])
    context = {"tenant": "7"}
    made = kms.generate_data_key(KeyId="alias/boto-1", KeySpec="AES_256", EncryptionContext=context)
    opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == made["Plaintext"]
    refused("InvalidCiphertextException", lambda: kms.decrypt(CiphertextBlob=made["CiphertextBlob"]))
    pages = kms.get_paginator("list_aliases").paginate(PaginationConfig={"PageSize": 1})
    names = [alias["AliasName"] for page in pages for alias in page["Aliases"]]
    assert {"alias/boto-1", "alias/boto-2"} <= set(names), names


checks = {check.__name__: check for check in [transfers, listings, versions, deletions, keys]}
checks[sys.argv[1]]()
print("done")
