//go:build !linux && !darwin

package memcached

import "errors"

func makePipe(string) error { return errors.ErrUnsupported }
