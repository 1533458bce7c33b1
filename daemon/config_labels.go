package daemon

import (
	"errors"
	"fmt"
	"slices"

	"sightd/decide"
	"sightd/export/tflitefile"
)

// NeedsLabels reports whether the rules of decisions have to fit the model's labels: they name one, or a live source follows them.
func (c Config) NeedsLabels() bool {
	return slices.ContainsFunc(c.Sources, SourceConfig.Live) || len(c.Decide.Labels) > 0 || len(c.Decide.Groups) > 0 ||
		slices.ContainsFunc(c.Decide.Schedule, func(p PeriodConfig) bool { return len(p.Labels) > 0 })
}

// CheckLabels tells what is wrong with the rules for a model with these labels, for each class one. The error has a line for each of
// the first ten faults, as "KEY: what is wrong", with the labels that may be meant where there is no such one. Live sources alone
// follow the rules: with one, what is wrong keeps the daemon from starting.
func (c DecideConfig) CheckLabels(labels []string) error {
	err := c.rules().Check(labels)
	var faults decide.Faults
	if !errors.As(err, &faults) {
		return err
	}
	var errs []error
	for i, f := range faults {
		if i == maxConfigFaults {
			errs = append(errs, fmt.Errorf("and %d more", len(faults)-i))
			break
		}
		errs = append(errs, fmt.Errorf("%s: %s", decideKey(f.Path), f.Problem))
	}
	return errors.Join(errs...)
}

// maxClasses is more than package decide can tell apart.
const maxClasses = 1 << 16

// ReadLabels reads the labels that OpenEngine would give the model, without having it ready to run.
func (c ModelConfig) ReadLabels() ([]string, error) {
	data, card, err := ReadModel(c.Path)
	if err != nil {
		return nil, err
	}
	file, err := tflitefile.Read(data)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", modelName(c.Path), err)
	}
	classes := 0
	if len(file.Outputs) > 0 {
		if shape := file.Tensors[file.Outputs[0]].Shape; len(shape) > 0 {
			classes = shape[len(shape)-1]
		}
	}
	if classes < 0 || classes > maxClasses {
		return nil, fmt.Errorf("open model %s: want at most %d classes, have %d", modelName(c.Path), maxClasses, classes)
	}
	labels, err := modelLabels(c.Labels, file, card, classes)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", modelName(c.Path), err)
	}
	return labels, nil
}
