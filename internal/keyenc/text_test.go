package keyenc

import (
	"bytes"
	"strings"
	"testing"
)

// A long text is rendered as a short one is, whatever is where it is cut.
func TestAppendText_Long(t *testing.T) {
	for _, part := range []string{"a", "é", "€", "😀", "\u2028", "\xff", "\x80", "\xe2\x82", "\xf0\x9f\x98", "😀\x80\x80\x80\x80", "a\x80\x80\x80\x80\x80", "'", "'\"", " "} {
		for shift := range 8 {
			s := strings.Repeat("x", shift) + strings.Repeat(part, longText/len(part)+1)
			if got, err := appendText(nil, s, walk{}); err != nil || !bytes.Equal(got, appendString(nil, s)) {
				t.Errorf("%q from %d on, as a text: %v", part, shift, err)
			}
			if got, err := appendByteText(nil, []byte(s), walk{}); err != nil || !bytes.Equal(got, appendBytes(nil, []byte(s))) {
				t.Errorf("%q from %d on, as bytes: %v", part, shift, err)
			}
		}
	}
}
