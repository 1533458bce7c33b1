// Package spelling measures how far a word is from another, for those who say what may have been meant. Which words are worth
// that, and what is near enough, they know themselves.
package spelling

// Distance is Levenshtein's: how many letters of a, bytes or runes, to insert, delete or replace to come to b. It takes time of the
// product of the lengths, and memory of b's.
func Distance[Letter comparable](a, b []Letter) int {
	row := make([]int, len(b)+1) // distances of a's first i letters to all beginnings of b
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
