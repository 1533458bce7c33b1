package weights

import (
	"errors"
	"fmt"
	"strings"
)

// wrappers are the keys under which training scripts store the state dict of a checkpoint.
var wrappers = []string{"state_dict", "model", "model_state_dict"}

const (
	maxWrappers = 3     // a state dict in a dict in a dict
	maxTensors  = 16384 // of a file; GoogLeNet with its auxiliary heads has 364
	maxName     = 1024  // bytes
)

// namePrefixes are put before every name by wrapper modules: DataParallel and torch.compile.
var namePrefixes = []string{"module.", "_orig_mod."}

// stateDict finds the state dict in the value of a pickle.
func stateDict(v any) (map[string]*layout, error) {
	d, err := unwrap(v)
	if err != nil {
		return nil, err
	}
	if len(d.items) > maxTensors {
		return nil, fmt.Errorf("the state dict has %d entries, want at most %d", len(d.items), maxTensors)
	}
	layouts := make(map[string]*layout, len(d.items))
	for _, item := range d.items {
		name, ok := item.key.(string)
		if !ok {
			return nil, fmt.Errorf("a key of the state dict is %s, want a string", describe(item.key))
		}
		l, ok := item.value.(*layout)
		if !ok {
			return nil, fmt.Errorf("entry %q is %s, want a tensor: want a state dict, or a dict that has one under %s",
				name, describe(item.value), quoted(wrappers))
		}
		if err := add(layouts, name, l); err != nil {
			return nil, err
		}
	}
	return layouts, nil
}

// unwrap gives the dict itself, or the one under a wrapper's key in it.
func unwrap(v any) (*dict, error) {
	d, ok := v.(*dict)
	if !ok {
		return nil, fmt.Errorf("it holds %s, want a state dict: save model.state_dict()", describe(v))
	}
	for range maxWrappers {
		inner := wrapped(d)
		if inner == nil {
			return d, nil
		}
		d = inner
	}
	return nil, fmt.Errorf("the state dict lies under more than %d dicts", maxWrappers)
}

// wrapped gives the dict under the first key of wrappers that has one, or nil.
func wrapped(d *dict) *dict {
	for _, wrapper := range wrappers {
		for _, item := range d.items {
			if inner, ok := item.value.(*dict); ok && item.key == wrapper {
				return inner
			}
		}
	}
	return nil
}

// add puts a tensor into layouts once its name and its place have been checked.
func add(layouts map[string]*layout, name string, l *layout) error {
	if len(name) > maxName {
		return fmt.Errorf("a tensor's name has %d bytes, want at most %d", len(name), maxName)
	}
	if _, ok := layouts[name]; ok {
		return fmt.Errorf("tensor %q is there twice", name)
	}
	if err := l.check(); err != nil {
		return fmt.Errorf("tensor %q: %w", name, err)
	}
	layouts[name] = l
	return nil
}

// plainNames takes a prefix that every name has off the names. It is an error if there are no tensors.
func plainNames(layouts map[string]*layout) (map[string]*layout, error) {
	if len(layouts) == 0 {
		return nil, errors.New("it holds no tensors")
	}
	for _, prefix := range namePrefixes {
		plain := make(map[string]*layout, len(layouts))
		for name, l := range layouts {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				plain[rest] = l
			}
		}
		if len(plain) == len(layouts) {
			layouts = plain
		}
	}
	return layouts, nil
}

// quoted lists words for an error.
func quoted(words []string) string {
	return `"` + strings.Join(words, `", "`) + `"`
}
