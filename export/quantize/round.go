package quantize

import "math"

// round rounds an output channel's weights, [taps, inputs], to whole steps of scale. Each goes to the nearest, and then, kernel by
// kernel, some go the other way: neighbouring values of a map resemble each other, so that what counts is the error of a kernel's
// sum, which rounding each weight alone lets grow to taps/2 steps. The weights nearest to the middle between two steps are
// turned, the fewest that bring it to half a step at most (Guo et al. 2022, SQuant, arXiv:2202.07471).
func round(q []int8, weights []float32, scale float32, taps int) {
	for i, w := range weights {
		q[i] = int8(math.RoundToEven(float64(w) / float64(scale)))
	}
	if taps == 1 {
		return
	}
	inputs := len(weights) / taps
	for i := range inputs {
		balance(q, weights, float64(scale), i, inputs)
	}
}

// balance turns roundings of the kernel of input channel i.
func balance(q []int8, weights []float32, scale float64, i, inputs int) {
	excess := func(at int) float64 { return float64(q[at]) - float64(weights[at])/scale }
	sum := 0.0
	for at := i; at < len(weights); at += inputs {
		sum += excess(at)
	}
	for math.Abs(sum) > 0.5 {
		turn, most := -1, 0.0
		for at := i; at < len(weights); at += inputs {
			e := excess(at)
			if e*sum > 0 && math.Abs(e) <= 0.5 && math.Abs(e) > most && math.Abs(float64(q[at])-math.Copysign(1, sum)) <= 127 {
				turn, most = at, math.Abs(e)
			}
		}
		if turn < 0 {
			return
		}
		q[turn] -= int8(math.Copysign(1, sum))
		sum -= math.Copysign(1, sum)
	}
}
