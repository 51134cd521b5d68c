package entry

import (
	"encoding/binary"

	"github.com/klauspost/compress/s2"

	"github.com/cacheutils/cacheutils/internal/codec"
)

// A compressed payload is the length of an s2 block, the block, and padding. A reader trusts it
// to grow at most maxRatio fold and to at most maxPayload bytes, so that a hostile entry
// can't make it allocate more; what compresses better than that is padded. What it grows to counts as memory of the entry,
// as the value does: see Sealer.MaxDecoded.
const (
	maxRatio   = 32
	maxPayload = 64 << 20
)

// compress returns payload compressed, or payload itself if it is too large for that.
func compress(payload []byte) []byte {
	if len(payload) > maxPayload {
		return payload
	}
	block := s2.Encode(nil, payload)
	small := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64+len(block)), uint64(len(block)))
	small = append(small, block...)
	if missing := len(payload)/maxRatio - len(small); missing > 0 {
		small = append(small, make([]byte, missing)...)
	}
	return small
}

var (
	errCompressed = Undecodable("its compressed part is damaged")
	errTooMuch    = Undecodable("it takes more memory than max_decoded_size allows for it, or for all that was looked up at once")
)

// uncompress returns what compress was given, and takes its memory from the limits.
func uncompress(small []byte, limits *codec.Limits) ([]byte, error) {
	n, size := binary.Uvarint(small)
	if size <= 0 || n > uint64(len(small)-size) {
		return nil, errCompressed
	}
	block := small[size : size+int(n)]
	length, err := s2.DecodedLen(block)
	if err != nil || length > maxPayload || length/maxRatio > len(small) {
		return nil, errCompressed
	}
	if limits.Memory > 0 {
		if uint64(length) > limits.Memory {
			return nil, errTooMuch
		}
		limits.Memory = max(limits.Memory-uint64(length), 1)
	}
	payload, err := s2.Decode(nil, block)
	if err != nil {
		return nil, errCompressed
	}
	return payload, nil
}
