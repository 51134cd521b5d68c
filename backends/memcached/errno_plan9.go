package memcached

import "syscall"

// Plan 9 has texts in the place of most numbers.
var (
	closedErrnos  []error
	lackingErrnos = []error{syscall.EMFILE}
)
