package locmem

import "container/list"

// An lru is the simplest cache to compare with: what wasn't read for longest goes.
type lru struct {
	size  int
	order *list.List // of keys, the last read in front
	keys  map[string]*list.Element
}

func newLRU(size int) *lru {
	return &lru{size: size, order: list.New(), keys: map[string]*list.Element{}}
}

// read reports whether key was there; it is afterwards.
func (l *lru) read(key string) bool {
	if e, ok := l.keys[key]; ok {
		l.order.MoveToFront(e)
		return true
	}
	if len(l.keys) == l.size {
		oldest := l.order.Back()
		delete(l.keys, l.order.Remove(oldest).(string))
	}
	l.keys[key] = l.order.PushFront(key)
	return false
}
