package quantize

import (
	"math"
)

// Logits chooses what int8 logits hold: span below high. logits are those of the float network on the calibration pictures. A softmax doesn't
// change when the same is subtracted from all logits, and what lies far below the largest makes no share of it. So the range needs not
// hold 0 nor the smallest logits, which then are higher than they should be: it is the one whose softmax has the smallest mean
// Kullback-Leibler divergence from that of the logits themselves. high leaves a tenth of all that was seen as room above.
func Logits(logits [][]float32) (high, span float64) {
	low := math.Inf(1)
	high = math.Inf(-1)
	for _, row := range logits {
		for _, v := range row {
			low, high = min(low, float64(v)), max(high, float64(v))
		}
	}
	if !(high > low) {
		return high, deadSpan
	}
	high += (high - low) / 10
	full := high - low
	least := math.Inf(1)
	for s := full; s > full/4; s *= 0.95 {
		if d := divergence(logits, high, s); d < least {
			least, span = d, s
		}
	}
	return high, span
}

// divergence is the mean over the rows of the Kullback-Leibler divergence of the softmax of quantized logits from the softmax.
func divergence(logits [][]float32, high, span float64) float64 {
	step, total := span/255, 0.0
	for _, row := range logits {
		largest := math.Inf(-1)
		for _, v := range row {
			largest = max(largest, float64(v))
		}
		exact, rounded, cross := 0.0, 0.0, 0.0
		for _, v := range row {
			q := high - min(max(math.RoundToEven((high-float64(v))/step), 0), 255)*step
			p := math.Exp(float64(v) - largest)
			exact += p
			rounded += math.Exp(q - largest)
			cross += p * (float64(v) - q)
		}
		// sum of p/exact * (log(p/exact) - log(e^q/rounded))
		total += cross/exact - math.Log(exact) + math.Log(rounded)
	}
	return total / float64(len(logits))
}
