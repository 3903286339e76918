package tree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dwellhq/dwell/internal/seedtest"
)

func TestATreeIsAMapThatNeverChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	var tr Tree[int]
	m := map[[2]string]int{}
	same := func(tr Tree[int], m map[[2]string]int) {
		t.Helper()
		n := 0
		tr.Each(func(a, b string, v int) {
			n++
			if w, ok := m[[2]string{a, b}]; !ok || w != v {
				t.Fatalf("holds %s %s: %d, want %d", a, b, v, w)
			}
		})
		if n != len(m) {
			t.Fatalf("holds %d keys, want %d", n, len(m))
		}
	}
	var old Tree[int]
	var oldMap map[[2]string]int
	for i := range 20_000 {
		k := [2]string{fmt.Sprint(r.IntN(50)), fmt.Sprint(r.IntN(60))}
		if r.IntN(3) == 0 {
			tr = tr.Without(k[0], k[1])
			delete(m, k)
		} else {
			tr = tr.With(k[0], k[1], i)
			m[k] = i
		}
		want, held := m[k]
		if v, ok := tr.Get(k[0], k[1]); ok != held || v != want {
			t.Fatalf("%v is %d, %v, want %d, %v", k, v, ok, want, held)
		}
		if i == 10_000 {
			old, oldMap = tr, map[[2]string]int{}
			for k, v := range m {
				oldMap[k] = v
			}
		}
	}
	same(tr, m)
	same(old, oldMap)
}

func TestATreeBearsEqualHashes(t *testing.T) {
	var root *node[int]
	for i := range 40 {
		root = root.with(leaf[int]{7, "a", fmt.Sprint(i), i}, 0)
	}
	n, depth := root, 0
	for ; n.forks != nil; depth++ {
		n = n.forks[uint64(7)>>(depth*fanBits)%fan]
	}
	if len(n.leaves) != 40 {
		t.Fatalf("%d leaves", len(n.leaves))
	}
	root = root.without(7, "a", "20", 0)
	var left []int
	root.each(func(_, _ string, v int) { left = append(left, v) })
	if len(left) != 39 || slices.Contains(left, 20) {
		t.Errorf("left are %v", left)
	}
}
