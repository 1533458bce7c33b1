package auction

import (
	"fmt"
	"slices"
	"strings"

	"sightd/inference"
)

// alike is up to which multiple of the fastest's time a candidate counts as just as fast: so much measurements differ by chance.
const alike = 1.05

// reasonBytes is how long a reason may be.
const reasonBytes = 400

// Rank gives the receipts, which come in the order of Candidates, in the order in which they are to be used, and gives those that have
// passed but aren't the first a Reason. The first is the winner if it has passed, else none has. It is the fastest of those whose
// delegate was requested, or of all if none of those has passed; of those that are about as fast, the one that came first. The built-in
// kernels come behind all others that have passed unless they win, and those that have failed come last.
func Rank(requested inference.Delegate, receipts []Receipt) []Receipt {
	var asked, others, failed, ranked []Receipt
	for _, r := range receipts {
		switch {
		case !r.Passed:
			failed = append(failed, r)
		case r.Delegate == requested:
			asked = append(asked, r)
		default:
			others = append(others, r)
		}
	}
	ranked = append(byTime(asked), byTime(others)...)
	for i := 1; i < len(ranked); i++ {
		if r := ranked[i]; r.Delegate == inference.CPU {
			ranked = append(slices.Delete(ranked, i, i+1), r)
			break
		}
	}
	for i := range ranked {
		if ranked[i].Reason = ""; i > 0 {
			ranked[i].Reason = lost(ranked[i], ranked[0])
		}
	}
	return append(ranked, failed...)
}

// byTime takes the fastest of the receipts over and over: of those that are about as fast the first.
func byTime(receipts []Receipt) []Receipt {
	receipts = slices.Clone(receipts)
	var sorted []Receipt
	for len(receipts) > 0 {
		fastest := slices.MinFunc(receipts, func(a, b Receipt) int {
			switch {
			case a.MS < b.MS:
				return -1
			case a.MS > b.MS:
				return 1
			}
			return 0
		})
		i := slices.IndexFunc(receipts, func(r Receipt) bool { return r.MS <= alike*fastest.MS })
		sorted = append(sorted, receipts[i])
		receipts = slices.Delete(receipts, i, i+1)
	}
	return sorted
}

// lost says why a candidate that has passed isn't the winner.
func lost(r, winner Receipt) string {
	switch {
	case r.MS > alike*winner.MS:
		return fmt.Sprintf("slower: %s against %s of %s", ms(r), ms(winner), winner.Candidate)
	case r.MS*alike < winner.MS:
		return fmt.Sprintf("faster with %s, but %s was asked for", ms(r), winner.Delegate)
	}
	return fmt.Sprintf("about as fast: %s against %s of %s", ms(r), ms(winner), winner.Candidate)
}

// ms is the time of a receipt for people.
func ms(r Receipt) string {
	if r.MS < 1 {
		return fmt.Sprintf("%.2g ms", r.MS)
	}
	return fmt.Sprintf("%.1f ms", r.MS)
}

// Reason says in a sentence why the first of the ranked receipts is used, such as "fastest of 4 that pass: 4.2 ms; gpu: no Vulkan device".
func Reason(requested inference.Delegate, ranked []Receipt) string {
	passed := 0
	for _, r := range ranked {
		if r.Passed {
			passed++
		}
	}
	var parts []string
	switch explicit := requested != "" && requested != inference.Auto; {
	case passed == 0:
		parts = append(parts, fmt.Sprintf("none of %d passes", len(ranked)))
	case explicit && ranked[0].Delegate == requested:
		parts = append(parts, fmt.Sprintf("as asked for: %s", ms(ranked[0])))
	case passed == 1:
		parts = append(parts, fmt.Sprintf("the only one that passes: %s", ms(ranked[0])))
	default:
		parts = append(parts, fmt.Sprintf("fastest of %d that pass: %s", passed, ms(ranked[0])))
	}
	for _, r := range ranked {
		if r.Passed {
			continue
		}
		part := fmt.Sprintf("%s: %s", r.Delegate, r.Reason)
		if !slices.Contains(parts, part) { // as with another number of threads
			parts = append(parts, part)
		}
	}
	return clean(strings.Join(parts, "; "), reasonBytes)
}
