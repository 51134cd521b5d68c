package decorators

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
)

func rawOf(words ...uint64) *raw {
	var r raw
	for _, w := range words {
		r.number(w)
	}
	return &r
}

// Who knows the hash of another process chooses no slots in this one.
func TestHotSeed_AimedElsewhere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	seed, factor := random.Uint64(), random.Uint64()|1
	slots := make(map[uint64]int)
	for n, found := uint64(0), 0; found < hotSlots; n++ {
		if rawOf(n).hashWith(seed, factor)%hotSlots == 0 {
			found++
			slots[rawOf(n).hash()%hotSlots]++
		}
	}
	if len(slots) < hotSlots/4 {
		t.Errorf("arguments that have one slot elsewhere have %d here", len(slots))
	}
}

// What a process hashes with is its own: another one has the same arguments elsewhere.
func TestHotSeed_OfTheProcess(t *testing.T) {
	hashes := func() (text string) {
		for n := range uint64(8) {
			text += fmt.Sprintf("%x ", rawOf(n).hash())
		}
		return text
	}
	const hashing = "CACHEUTILS_TEST_HASHES"
	if os.Getenv(hashing) != "" {
		fmt.Println(hashing, hashes())
		return
	}
	for n := range uint64(8) {
		if r := rawOf(n); r.hash() != r.hashWith(hotSeed, hotFactor) {
			t.Error("the hash is not that by the process's seed and factor")
		}
	}
	other := exec.Command(os.Args[0], "-test.run=^TestHotSeed_OfTheProcess$", "-test.v")
	other.Env = append(os.Environ(), hashing+"=1")
	out, err := other.CombinedOutput()
	_, theirs, found := strings.Cut(string(out), hashing+" ")
	if err != nil || !found {
		t.Fatalf("%v: %s", err, out)
	}
	for _, hash := range strings.Fields(hashes()) {
		if strings.Contains(theirs, hash) {
			t.Errorf("%s is a hash of another process, too", hash)
		}
	}
}

// No difference between two arguments makes them share a slot in a larger part of processes than others do.
func TestHotSeed_Differences(t *testing.T) {
	const tries = 2000
	random := rand.New(rand.NewPCG(1, 2))
	var differences []uint64
	for i := range 64 {
		for j := range i {
			differences = append(differences, 1<<i|1<<j)
		}
		differences = append(differences, 1<<i, 1<<i-1)
	}
	most := 0
	for _, d := range differences[1:] {
		shared := 0
		for range tries {
			seed, factor, n := random.Uint64(), random.Uint64()|1, random.Uint64()
			a, b := rawOf(n), rawOf(n^d)
			if d != 0 && a.hashWith(seed, factor)%hotSlots == b.hashWith(seed, factor)%hotSlots {
				shared++
			}
		}
		if shared > most {
			most = shared
			if most > tries*4/hotSlots {
				t.Errorf("the difference %#x (%d bits) shares a slot %d times of %d", d, bits.OnesCount64(d), shared, tries)
			}
		}
	}
}

// Slots that others have taken are won back by what is called for often.
func TestHotSeed_WonBack(t *testing.T) {
	set, err := backends.New(backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	f, h := Cached(func(n int) int { return n }, Key("hot.won"), On(set))
	call := func(n int) {
		if got := f(n); got != n {
			t.Fatalf("got %d, want %d", got, n)
		}
	}
	p := h.plan
	inTable := func(n int) bool {
		store, err := p.backend.store(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		slots, r := p.hot.slots(store), rawOf(uint64(n))
		if len(slots) == 0 {
			return false
		}
		hit := slotOf(slots, r.hash()).Load()
		return hit != nil && hit.isFor(r)
	}
	for n := 1; n <= 50*hotSlots; n++ {
		call(n)
		call(n)
	}
	taken := 0
	for n := 1; n <= 50*hotSlots; n++ {
		if inTable(n) {
			taken++
		}
	}
	if taken < hotSlots*9/10 {
		t.Fatalf("%d slots are taken", taken)
	}
	for i := 0; !inTable(-1); i++ {
		if i == 100*replaceEvery {
			t.Fatalf("after %d calls it has no slot", i)
		}
		call(-1)
	}
}
