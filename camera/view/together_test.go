package view

import (
	"math/rand/v2"
	"testing"
)

// TestTogether compares the count by words with one cell by cell.
func TestTogether(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for round := range 100 {
		var marks [Height]uint64
		for y := range marks {
			marks[y] = random.Uint64()
			for range round % 5 {
				marks[y] &= random.Uint64()
			}
		}
		marked := func(x, y int) int {
			if x < 0 || y < 0 || x >= Width || y >= Height {
				return 0
			}
			return int(marks[y] >> x & 1)
		}
		want := 0
		for y := range Height {
			for x := range Width {
				neighbours := -marked(x, y)
				for dy := -1; dy <= 1; dy++ {
					for dx := -1; dx <= 1; dx++ {
						neighbours += marked(x+dx, y+dy)
					}
				}
				if marked(x, y) == 1 && neighbours >= 2 {
					want++
				}
			}
		}
		if got := together(&marks); got != want {
			t.Fatalf("round %d: %d, want %d", round, got, want)
		}
	}
}
