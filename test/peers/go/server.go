// The test protocol over HTTP on loopback, around an encryption client.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

const types = "software.amazon.encryption.s3#"

// config is what the protocol says of a client; the zero value where nothing is said.
type config struct {
	KeyMaterial struct {
		KmsKeyID string `json:"kmsKeyId"`
	} `json:"keyMaterial"`
	EnableLegacyUnauthenticatedModes bool   `json:"enableLegacyUnauthenticatedModes"`
	EnableDelayedAuthenticationMode  bool   `json:"enableDelayedAuthenticationMode"`
	EnableLegacyWrappingAlgorithms   bool   `json:"enableLegacyWrappingAlgorithms"`
	SetBufferSize                    *int64 `json:"setBufferSize"`
	CommitmentPolicy                 string `json:"commitmentPolicy"`
	EncryptionAlgorithm              string `json:"encryptionAlgorithm"`
	InstructionFileConfig            struct {
		EnableInstructionFilePutObject bool `json:"enableInstructionFilePutObject"`
		DisableInstructionFile         bool `json:"disableInstructionFile"`
	} `json:"instructionFileConfig"`
}

// encryptionClient is an encryption client of any version.
type encryptionClient interface {
	put(ctx context.Context, bucket, key string, body []byte, encryptionContext map[string]string) error
	get(ctx context.Context, bucket, key string, encryptionContext map[string]string) ([]byte, error)
}

// protocolError is what this server does not do: no refusal of the encryption client.
type protocolError struct {
	status  int
	message string
}

func (e protocolError) Error() string { return e.message }

func unsupported(format string, values ...any) error {
	return protocolError{http.StatusInternalServerError, fmt.Sprintf(format, values...)}
}

type server struct {
	clients sync.Map
	make    func(config) (encryptionClient, error)
}

// serve answers until standard input ends.
func serve(make func(config) (encryptionClient, error)) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	go http.Serve(listener, &server{make: make})
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Metadata", "")
	answer, err := s.dispatch(r)
	if err == nil {
		w.Write(answer)
		return
	}
	kind, status := "S3EncryptionClientError", http.StatusInternalServerError
	var protocol protocolError
	if errors.As(err, &protocol) {
		kind, status = "GenericServerError", protocol.status
	}
	w.WriteHeader(status)
	w.Write(encode(map[string]any{"__type": types + kind, "message": err.Error()}))
}

func (s *server) dispatch(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, unsupported("no body: %v", err)
	}
	if r.Method == "POST" && r.URL.Path == "/client" {
		return s.createClient(body)
	}
	// What stands between the slashes is decoded already; a key may have slashes of its own.
	kind, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	bucket, key, ok := strings.Cut(path, "/")
	if !ok || kind != "object" {
		return nil, unsupported("no such operation: %s %s", r.Method, kind)
	}
	found, ok := s.clients.Load(r.Header.Get("ClientID"))
	if !ok {
		return nil, protocolError{http.StatusNotFound, "no such client"}
	}
	client := found.(encryptionClient)
	encryptionContext, err := decodeContext(r.Header.Get("Content-Metadata"))
	if err != nil {
		return nil, err
	}
	switch r.Method {
	case "PUT":
		if err := client.put(r.Context(), bucket, key, body, encryptionContext); err != nil {
			return nil, err
		}
		return encode(map[string]any{"bucket": bucket, "key": key, "metadata": []string{}}), nil
	case "GET":
		if r.Header.Get("Range") != "" || r.Header.Get("InstructionFileSuffix") != "" {
			return nil, unsupported("this client has neither ranges nor suffixes")
		}
		return client.get(r.Context(), bucket, key, encryptionContext)
	}
	return nil, unsupported("no such operation: %s", r.Method)
}

func (s *server) createClient(body []byte) ([]byte, error) {
	var request struct {
		Config config `json:"config"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, unsupported("malformed configuration: %v", err)
	}
	client, err := s.make(request.Config)
	if err != nil {
		return nil, err
	}
	id := rand.Text()
	s.clients.Store(id, client)
	return encode(map[string]any{"clientId": id}), nil
}

func decodeContext(text string) (map[string]string, error) {
	decoded := map[string]string{}
	if text == "" {
		return decoded, nil
	}
	for _, entry := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(entry, "]:[")
		if !ok || !strings.HasPrefix(name, "[") || !strings.HasSuffix(value, "]") {
			return nil, unsupported("malformed Content-Metadata")
		}
		decoded[name[1:]] = value[:len(value)-1]
	}
	return decoded, nil
}

func encode(value any) []byte {
	bytes, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return bytes
}
