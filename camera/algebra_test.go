package camera

import (
	"testing"

	"gocv.io/x/gocv"
)

// TestAlgebra multiplies matrices that OpenCV leaves to OpenBLAS, whose threads were ended.
func TestAlgebra(t *testing.T) {
	const n = 300
	a := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(2, 0, 0, 0), n, n, gocv.MatTypeCV32F)
	defer a.Close()
	none, product := gocv.NewMat(), gocv.NewMat()
	defer none.Close()
	defer product.Close()
	if err := gocv.Gemm(a, a, 1, none, 0, &product, 0); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 150, n - 1} {
		if have := product.GetFloatAt(at, n-1-at); have != 4*n {
			t.Errorf("element %d, %d: want %d, have %v", at, n-1-at, 4*n, have)
		}
	}
}
