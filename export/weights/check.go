package weights

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Classes stands in Want.Shape for the number of classes: the same number wherever it stands, 2 to MaxClasses.
const Classes = -1

// MaxClasses is the largest number of classes that Check accepts.
const MaxClasses = 100_000

// maxListed is how many names an error lists.
const maxListed = 3

// Want is one tensor that a network needs.
type Want struct {
	Name  string
	Shape []int // in PyTorch's order; Classes may stand for a dimension
}

// Check tests that the set has the tensors that are wanted and no others, with their shapes, and that their values are finite
// (and not negative in a batch norm's running_var). Tensors for which dropped returns true may be there too and are not
// looked at; dropped may be nil. The error names the file, the tensor, what was expected and what is there. Check reads every
// wanted tensor, one at a time.
func (s *Set) Check(want []Want, dropped func(name string) bool) error {
	err := s.checkNames(want, dropped)
	if err == nil {
		err = s.checkShapes(want)
	}
	for i := 0; err == nil && i < len(want); i++ {
		err = s.checkValues(want[i].Name)
	}
	if err != nil {
		return fmt.Errorf("check weights %s: %w", s.Path, err)
	}
	return nil
}

// checkNames finds missing and unknown tensors.
func (s *Set) checkNames(want []Want, dropped func(name string) bool) error {
	var missing, extra []string
	wanted := make(map[string]bool, len(want))
	for _, w := range want {
		wanted[w.Name] = true
		if _, ok := s.layouts[w.Name]; !ok {
			missing = append(missing, w.Name)
		}
	}
	for _, name := range s.Names() {
		if !wanted[name] && (dropped == nil || !dropped(name)) {
			extra = append(extra, name)
		}
	}
	var faults []string
	if len(missing) > 0 {
		faults = append(faults, fmt.Sprintf("missing %d of the network's %d tensors: %s", len(missing), len(want), first(missing)))
	}
	if len(extra) > 0 {
		faults = append(faults, fmt.Sprintf("has %d that the network does not have: %s", len(extra), first(extra)))
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "; "))
	}
	return nil
}

// first lists the first few names.
func first(names []string) string {
	if len(names) > maxListed {
		return strings.Join(names[:maxListed], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// checkShapes compares the shapes. The first tensor with a dimension Classes sets the number of classes.
func (s *Set) checkShapes(want []Want) error {
	classes := Classes
	for _, w := range want {
		have := s.layouts[w.Name].shape
		expected := slices.Clone(w.Shape)
		for i, n := range expected {
			if n != Classes {
				continue
			}
			if classes == Classes && i < len(have) && len(have) == len(expected) {
				if classes = have[i]; classes < 2 || classes > MaxClasses {
					return fmt.Errorf("%s: shape %v means %d classes, want 2 to %d", w.Name, have, classes, MaxClasses)
				}
			}
			expected[i] = classes
		}
		if !slices.Equal(have, expected) {
			return fmt.Errorf("%s: want shape %s, have %v", w.Name, formatShape(expected), have)
		}
	}
	return nil
}

// formatShape writes a shape, with a word for an unknown number of classes.
func formatShape(shape []int) string {
	return strings.ReplaceAll(fmt.Sprint(shape), fmt.Sprint(Classes), "classes")
}

// checkValues reads a tensor and tests that its values can be a network's.
func (s *Set) checkValues(name string) error {
	t, err := s.Tensor(name)
	if err != nil {
		return err
	}
	variance := strings.HasSuffix(name, ".running_var")
	for i, v := range t.Data {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("%s: element %d is %v, want a finite float32", name, i, v)
		}
		if variance && v < 0 {
			return fmt.Errorf("%s: element %d is %v, want a variance from 0", name, i, v)
		}
	}
	return nil
}
