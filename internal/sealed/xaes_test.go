package sealed

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"io"
	"testing"
)

// The vectors of the specification, https://c2sp.org/XAES-256-GCM.
func TestXAES_Vectors(t *testing.T) {
	for _, v := range []struct {
		key        byte
		data, want string
	}{
		{0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		x, err := newXAES([keySize]byte(bytes.Repeat([]byte{v.key}, keySize)))
		if err != nil {
			t.Fatal(err)
		}
		nonce, plain := []byte("ABCDEFGHIJKLMNOPQRSTUVWX"), []byte("XAES-256-GCM")
		box := x.seal(nil, nonce, plain, []byte(v.data))
		if got := hex.EncodeToString(box); got != v.want {
			t.Errorf("key %d: got %s, want %s", v.key, got, v.want)
		}
		if got, err := x.open(nil, nonce, box, []byte(v.data)); !bytes.Equal(got, plain) || err != nil {
			t.Errorf("key %d: opened to %q, %v", v.key, got, err)
		}
	}
}

// 10,000 random keys, nonces, texts and data, as in the specification: both kinds of keys to CMAC are among them.
func TestXAES_Accumulated(t *testing.T) {
	from, all := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	take := func(n int) []byte {
		b := make([]byte, n)
		io.ReadFull(from, b)
		return b
	}
	for range 10_000 {
		key, nonce := [keySize]byte(take(keySize)), take(nonceSize)
		plain := take(int(take(1)[0]))
		data := take(int(take(1)[0]))
		x, err := newXAES(key)
		if err != nil {
			t.Fatal(err)
		}
		box := x.seal(nil, nonce, plain, data)
		all.Write(box)
		if got, err := x.open(nil, nonce, box, data); !bytes.Equal(got, plain) || err != nil {
			t.Fatalf("%x opened to %x, %v", plain, got, err)
		}
	}
	sum := make([]byte, 32)
	all.Read(sum)
	if got, want := hex.EncodeToString(sum), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Nonces are all different, also when their first half is replaced, and a key that was kept for another half is not used.
func TestXAES_Halves(t *testing.T) {
	x, err := newXAES([keySize]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	take := func() (nonce [nonceSize]byte) {
		x.newNonce(nonce[:])
		return nonce
	}
	seen, halves := make(map[[nonceSize]byte]bool), make(map[[halfSize]byte]bool)
	for i := range 3000 {
		if i%1000 == 999 {
			x.own.Load().used.Store(perHalf)
		}
		nonce := take()
		seen[nonce], halves[[halfSize]byte(nonce[:])] = true, true
	}
	if len(seen) != 3000 || len(halves) != 4 {
		t.Errorf("%d nonces, %d first halves", len(seen), len(halves))
	}
	a, b := take(), take()
	b[1] ^= 1 // another half with the same place
	for range 3 {
		for _, nonce := range [][nonceSize]byte{a, b} {
			box := x.seal(nil, nonce[:], []byte("plain"), nil)
			if _, err := x.open(nil, nonce[:], box, nil); err != nil {
				t.Error(err)
			}
			fresh, _ := newXAES([keySize]byte{1})
			if got, err := fresh.open(nil, nonce[:], box, nil); string(got) != "plain" || err != nil {
				t.Errorf("another process opens it to %q, %v", got, err)
			}
		}
	}
	if bytes.Equal(x.seal(nil, a[:], nil, nil), x.seal(nil, b[:], nil, nil)) {
		t.Error("two halves seal alike")
	}
}
