package entry

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/s2"
)

// A compressed payload is the length of an s2 block, the block, and padding. A reader trusts it
// to grow at most maxRatio fold and to at most maxPayload bytes, so that a hostile entry
// can't make it allocate more; what compresses better than that is padded.
const (
	maxRatio   = 256
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

var errDamaged = errors.New("it is damaged")

func uncompress(small []byte) ([]byte, error) {
	n, size := binary.Uvarint(small)
	if size <= 0 || n > uint64(len(small)-size) {
		return nil, errDamaged
	}
	block := small[size : size+int(n)]
	length, err := s2.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if length > maxPayload || length/maxRatio > len(small) {
		return nil, errDamaged
	}
	return s2.Decode(nil, block)
}
