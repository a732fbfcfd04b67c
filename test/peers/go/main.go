// The S3 Encryption Client for Go, major version 3, behind the test protocol.
package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"os"

	"github.com/aws/amazon-s3-encryption-client-go/v3/algorithms"
	"github.com/aws/amazon-s3-encryption-client-go/v3/client"
	"github.com/aws/amazon-s3-encryption-client-go/v3/commitment"
	"github.com/aws/amazon-s3-encryption-client-go/v3/materials"
	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var policies = map[string]commitment.CommitmentPolicy{
	"FORBID_ENCRYPT_ALLOW_DECRYPT":    commitment.FORBID_ENCRYPT_ALLOW_DECRYPT,
	"REQUIRE_ENCRYPT_ALLOW_DECRYPT":   commitment.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
	"REQUIRE_ENCRYPT_REQUIRE_DECRYPT": commitment.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
}

var suites = map[string]*algorithms.AlgorithmSuite{
	"ALG_AES_256_CBC_IV16_NO_KDF":            algorithms.AlgAES256CBCIV16NoKDF,
	"ALG_AES_256_GCM_IV12_TAG16_NO_KDF":      algorithms.AlgAES256GCMIV12Tag16NoKDF,
	"ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY": algorithms.AlgAES256GCMHkdfSha512CommitKey,
}

func main() {
	// The client fetches instruction files with an S3 client of its own making, which only the environment reaches.
	os.Setenv("AWS_ENDPOINT_URL_S3", os.Getenv("S3_ENDPOINT"))
	loaded, err := sdk.LoadDefaultConfig(context.Background(), sdk.WithRetryMaxAttempts(1))
	if err != nil {
		log.Fatal(err)
	}
	objects := s3.NewFromConfig(loaded, func(options *s3.Options) {
		options.BaseEndpoint = aws.String(os.Getenv("S3_ENDPOINT"))
		options.UsePathStyle = true
	})
	keys := kms.NewFromConfig(loaded, func(options *kms.Options) {
		options.BaseEndpoint = aws.String(os.Getenv("KMS_ENDPOINT"))
	})
	if err := serve(func(c config) (encryptionClient, error) { return newPeer(objects, keys, c) }); err != nil {
		log.Fatal(err)
	}
}

type peer struct {
	client *client.S3EncryptionClientV3
}

func newPeer(objects *s3.Client, keys *kms.Client, c config) (encryptionClient, error) {
	switch {
	case c.KeyMaterial.KmsKeyID == "":
		return nil, unsupported("this client has KMS keys only")
	case c.InstructionFileConfig.EnableInstructionFilePutObject || c.InstructionFileConfig.DisableInstructionFile:
		return nil, unsupported("this client has no settings of instruction files")
	case c.EnableDelayedAuthenticationMode:
		return nil, unsupported("this client has no delayed authentication")
	}
	policy, known := policies[c.CommitmentPolicy]
	if c.CommitmentPolicy != "" && !known {
		return nil, unsupported("unknown policy %s", c.CommitmentPolicy)
	}
	suite, known := suites[c.EncryptionAlgorithm]
	if c.EncryptionAlgorithm != "" && !known {
		return nil, unsupported("unknown algorithm %s", c.EncryptionAlgorithm)
	}
	keyring := materials.NewKmsKeyring(keys, c.KeyMaterial.KmsKeyID, func(options *materials.KeyringOptions) {
		options.EnableLegacyWrappingAlgorithms = c.EnableLegacyWrappingAlgorithms
	})
	cmm, err := materials.NewCryptographicMaterialsManager(keyring)
	if err != nil {
		return nil, err
	}
	made, err := client.New(objects, cmm, func(options *client.EncryptionClientOptions) {
		options.EnableLegacyUnauthenticatedModes = c.EnableLegacyUnauthenticatedModes
		if c.CommitmentPolicy != "" {
			options.CommitmentPolicy = policy
		}
		options.EncryptionAlgorithmSuite = suite
		if c.SetBufferSize != nil {
			options.BufferSize = *c.SetBufferSize
		}
	})
	return peer{made}, err
}

func (p peer) put(ctx context.Context, bucket, key string, body []byte, encryptionContext map[string]string) error {
	ctx = context.WithValue(ctx, client.EncryptionContext, encryptionContext)
	input := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}
	_, err := p.client.PutObject(ctx, input)
	return err
}

// An empty context is stated like any other: the client compares only what is stated.
func (p peer) get(ctx context.Context, bucket, key string, encryptionContext map[string]string) ([]byte, error) {
	ctx = context.WithValue(ctx, client.EncryptionContext, encryptionContext)
	output, err := p.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer output.Body.Close()
	return io.ReadAll(output.Body)
}
