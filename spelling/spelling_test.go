package spelling

import "testing"

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"lnyx", "lynx", 2},
		{"borker", "broker", 2}, {"Füchse", "Fuchse", 1},
	} {
		if have := Distance([]rune(test.a), []rune(test.b)); have != test.want {
			t.Errorf("%q to %q: want %d, have %d", test.a, test.b, test.want, have)
		}
	}
	if have := Distance([]byte("Füchse"), []byte("Fuchse")); have != 2 {
		t.Errorf("of bytes: want 2, have %d", have)
	}
}
