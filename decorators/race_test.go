//go:build race

package decorators_test

const raceEnabled = true
