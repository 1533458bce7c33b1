package weights

import (
	"errors"
	"fmt"
	"slices"
)

func (m *machine) mark() error {
	m.marks = append(m.marks, len(m.stack))
	return nil
}

func (m *machine) tupleFromMark() error {
	items, err := m.popMark()
	if err == nil {
		m.push(tuple(slices.Clone(items)))
	}
	return err
}

func (m *machine) tupleOf(n int) error {
	if len(m.stack)-m.floor() < n {
		return errors.New("the stack is empty")
	}
	at := len(m.stack) - n
	t := tuple(slices.Clone(m.stack[at:]))
	m.stack = append(m.stack[:at], t)
	return nil
}

func (m *machine) appendItem() error {
	item, err := m.pop()
	if err != nil {
		return err
	}
	return m.extend(item)
}

func (m *machine) appends() error {
	items, err := m.popMark()
	if err != nil {
		return err
	}
	return m.extend(items...)
}

func (m *machine) extend(items ...any) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	l, ok := v.(*list)
	if !ok {
		return fmt.Errorf("an item is appended to %s, want a list", describe(v))
	}
	l.items = append(l.items, items...)
	return nil
}

// setItem stores one key and value.
func (m *machine) setItem() error {
	if len(m.stack)-m.floor() < 2 {
		return errors.New("the stack is empty")
	}
	at := len(m.stack) - 2
	items := m.stack[at:]
	m.stack = m.stack[:at]
	return m.update(items)
}

func (m *machine) setItems() error {
	items, err := m.popMark()
	if err != nil {
		return err
	}
	return m.update(items)
}

// update stores keys and values, alternating in items, in the dictionary on top of the stack.
func (m *machine) update(items []any) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	d, ok := v.(*dict)
	if !ok || len(items)%2 != 0 {
		return fmt.Errorf("%d keys and values are stored in %s, want an even number and a dict", len(items), describe(v))
	}
	for i := 0; i < len(items); i += 2 {
		d.items = append(d.items, pair{items[i], items[i+1]})
	}
	return nil
}

// put remembers the top of the stack under a number of size bytes.
func (m *machine) put(size int) error {
	n, err := m.number(size)
	if err != nil {
		return err
	}
	v, err := m.top()
	if err == nil {
		m.memo[n] = v
	}
	return err
}

// get pushes what was remembered under a number of size bytes.
func (m *machine) get(size int) error {
	n, err := m.number(size)
	if err != nil {
		return err
	}
	v, ok := m.memo[n]
	if !ok {
		return fmt.Errorf("memo %d is read before it is written", n)
	}
	m.push(v)
	return nil
}

// global pushes what a module and a name in it stand for, if the name is allowed.
func (m *machine) global() error {
	module, err := m.line()
	if err != nil {
		return err
	}
	name, err := m.line()
	if err != nil {
		return err
	}
	g, ok := globals[module+"."+name]
	if !ok {
		return refuse(module, name)
	}
	m.push(g)
	return nil
}

// reduce calls the function below the top with the tuple on top as its arguments.
func (m *machine) reduce() error {
	g, args, err := m.callee()
	if err != nil {
		return err
	}
	if g.call == nil {
		return fmt.Errorf("%q is called, but is no function", g.name)
	}
	if err := m.charge(len(args)); err != nil {
		return err
	}
	v, err := g.call(m, args)
	if err != nil {
		return fmt.Errorf("%s: %w", g.name, err)
	}
	m.push(v)
	return nil
}

// newObject makes an object of a class without calling its constructor; all classes that are allowed here are dropped.
func (m *machine) newObject() error {
	g, _, err := m.callee()
	if err != nil {
		return err
	}
	if !g.inert {
		return fmt.Errorf("an object of %q is made, which is no class for that", g.name)
	}
	m.push(dropped{})
	return nil
}

// callee takes a tuple and the global below it off the stack.
func (m *machine) callee() (*global, tuple, error) {
	v, err := m.pop()
	if err != nil {
		return nil, nil, err
	}
	f, err := m.pop()
	if err != nil {
		return nil, nil, err
	}
	args, ok := v.(tuple)
	if !ok {
		return nil, nil, fmt.Errorf("arguments are %s, want a tuple", describe(v))
	}
	g, ok := f.(*global)
	if !ok {
		return nil, nil, fmt.Errorf("%s is called, want a function", describe(f))
	}
	return g, args, nil
}

// build would set an object's attributes: PyTorch does that for a state dict's _metadata. They are dropped.
func (m *machine) build() error {
	if _, err := m.pop(); err != nil {
		return err
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	switch v.(type) {
	case *dict, dropped:
		return nil
	}
	return fmt.Errorf("attributes are set on %s, want a dict", describe(v))
}

func (m *machine) persistentID() error {
	v, err := m.pop()
	if err != nil {
		return err
	}
	id, ok := v.(tuple)
	if !ok {
		return fmt.Errorf("a persistent id is %s, want a tuple", describe(v))
	}
	if m.persistent == nil {
		return errors.New("a persistent id stands where none is allowed")
	}
	s, err := m.persistent(id)
	if err == nil {
		m.push(s)
	}
	return err
}

// describe names the kind of a value, as Python does, for errors.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64:
		return "an int"
	case float64:
		return "a float"
	case string:
		return "a string"
	case tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dict"
	case *layout:
		return "a tensor"
	case typedStorage:
		return "a storage"
	case *global:
		return v.name
	}
	return "an object"
}
