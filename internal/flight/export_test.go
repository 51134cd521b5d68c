package flight

// Leftovers returns how many flights wait for others, and how many compute.
func Leftovers() (waiting, computing int) {
	waits.mu.Lock()
	defer waits.mu.Unlock()
	return len(waits.edges), int(running.flights.Load())
}
