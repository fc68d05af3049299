// Package signingkey makes the key that signs ServiceAccount tokens.
package signingkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
)

// Run writes a new P-256 private key, in PEM, to the file that its only argument names.
// The API server takes its public half from the same file.
func Run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: signing-key FILE")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return os.WriteFile(args[0], block, 0o600)
}
