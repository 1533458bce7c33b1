package export

import (
	"errors"
	"fmt"
	"math"
)

// share is n/of, 0 for none.
func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// wilson gives the 95 % confidence interval of the share n/of, both ends from 0 to 1, by Wilson's score method (E. B. Wilson,
// "Probable inference, the law of succession, and statistical inference", 1927). None tell nothing: [0, 1].
func wilson(n, of int) [2]float64 {
	if of == 0 {
		return [2]float64{0, 1}
	}
	const z = 1.959963984540054 // of the normal distribution, 2.5 % lie above it
	p, trials := share(n, of), float64(of)
	centre := (p + z*z/(2*trials)) / (1 + z*z/trials)
	half := z / (1 + z*z/trials) * math.Sqrt(p*(1-p)/trials+z*z/(4*trials*trials))
	return [2]float64{max(centre-half, 0), min(centre+half, 1)}
}

// mcnemar gives the two-sided p of McNemar's exact test: how probable it is that pictures on which just one of two networks is right
// divide as unevenly as a to b, or more so, if neither network is better. It is the binomial test of a of a+b with probability 1/2.
func mcnemar(a, b int) float64 {
	n := float64(a + b)
	all, _ := math.Lgamma(n + 1) // the sign is that of a positive number
	p := 0.0
	for i := range min(a, b) + 1 {
		in, _ := math.Lgamma(float64(i) + 1) // likewise
		out, _ := math.Lgamma(n - float64(i) + 1)
		p += math.Exp(all - in - out - n*math.Ln2)
	}
	return min(2*p, 1)
}

// argmax gives the index of the largest score, the first of equal ones.
func argmax(scores []float32) int {
	best := 0
	for i, s := range scores {
		if s > scores[best] {
			best = i
		}
	}
	return best
}

// rank says how many classes come before a class when sorted by score, equal ones by index: 0 for the best.
func rank(scores []float32, class int) int {
	before := 0
	for i, s := range scores {
		if s > scores[class] || s == scores[class] && i < class {
			before++
		}
	}
	return before
}

// least is the smallest score whose logarithm is taken. An integer output has scores of 0, and a probability below it is of no
// use to anyone.
const least = 1e-9

// checkScores tests that scores are what a softmax gives: finite and not negative.
func checkScores(scores []float32) error {
	if len(scores) == 0 {
		return errors.New("want scores, have none")
	}
	for i, s := range scores {
		if !(s >= 0 && s <= math.MaxFloat32) {
			return fmt.Errorf("want finite scores of 0 or more, have %g for class %d", s, i)
		}
	}
	return nil
}

// divergence is the Kullback-Leibler divergence of the scores q from the scores p, in nats: sum p*ln(p/q). 0 says that they are the
// same. Scores below least count as that, and both are divided by their sum, which an integer output rounds. They
// are as checkScores wants them, and as many.
func divergence(p, q []float32) float64 {
	var sumP, sumQ float64
	for i := range p {
		sumP += max(float64(p[i]), least)
		sumQ += max(float64(q[i]), least)
	}
	d := 0.0
	for i := range p {
		pi, qi := max(float64(p[i]), least)/sumP, max(float64(q[i]), least)/sumQ
		d += pi * math.Log(pi/qi)
	}
	return max(d, 0) // rounding may leave equal scores just below
}

// minimize gives the x from low to high where f is smallest, to within tolerance, by golden section search. f must have one minimum
// there; at a border it gives that border's neighbourhood.
func minimize(f func(x float64) float64, low, high, tolerance float64) float64 {
	const ratio = 1 / math.Phi
	a, b := high-(high-low)*ratio, low+(high-low)*ratio
	fa, fb := f(a), f(b)
	for high-low > tolerance {
		if fa <= fb {
			high, b, fb = b, a, fa
			a = high - (high-low)*ratio
			fa = f(a)
		} else {
			low, a, fa = a, b, fb
			b = low + (high-low)*ratio
			fb = f(b)
		}
	}
	return (low + high) / 2
}
