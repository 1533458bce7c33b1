package tflite

import (
	"errors"
	"fmt"

	"github.com/mattn/go-tflite"
	"github.com/mattn/go-tflite/delegates"

	"sightd/inference"
)

// build makes the interpreter with the delegate that is asked for. For Auto, a model that XNNPACK can't prepare runs on
// the built-in kernels, and the delegation says why.
func (c *Classifier) build(model []byte, opts inference.Options) error {
	switch want := opts.Delegate; {
	case want == inference.CPU, want == inference.XNNPACK, want == inference.XNNPACKFP16, want.IsExternal():
		return c.interpret(want, model, opts.WeightCache)
	case want == inference.GPU:
		return errors.New("delegate gpu: LiteRT runs it, TensorFlow Lite's C library has none")
	case want == inference.Auto, want == "":
		err := c.interpret(inference.XNNPACK, model, opts.WeightCache)
		if err == nil {
			return nil
		}
		c.deleteInterpreter()
		if cpuErr := c.interpret(inference.CPU, nil, ""); cpuErr != nil {
			return errors.Join(err, cpuErr)
		}
		c.delegation.Reason = err.Error()
		return nil
	default:
		return fmt.Errorf("delegate: want %s, have %q", inference.Delegates, want)
	}
}

// interpret makes the interpreter, gives the graph to the delegate, allocates the tensors and reads what they are.
func (c *Classifier) interpret(delegate inference.Delegate, model []byte, cachePath string) error {
	options := tflite.NewInterpreterOptions()
	if options == nil {
		return errors.New("create interpreter options: the library gave none")
	}
	defer options.Delete()
	options.SetNumThread(c.threads)
	log, err := newErrorLog(options)
	if err != nil {
		return err
	}
	c.log = log
	c.owned = append(c.owned, log)
	c.interpreter = tflite.NewInterpreter(c.model, options)
	if c.interpreter == nil {
		return fmt.Errorf("create the interpreter: %s", log.take())
	}

	graph, total, err := c.inspect()
	if err != nil {
		return err
	}
	c.delegation = inference.Delegation{Delegate: delegate, Total: total}
	var weights *weightCache
	switch {
	case delegate == inference.CPU:
		c.delegation.Rest, _ = left(graph)
	case delegate.IsExternal():
		err = c.applyExternal(delegate)
	default:
		weights = c.prepareWeights(delegate, graph, model, cachePath)
		err = c.applyXNNPACK(delegate, graph, weights)
	}
	if err != nil {
		return err
	}
	if s := c.interpreter.AllocateTensors(); s != tflite.OK {
		return fmt.Errorf("allocate tensors with delegate %s: status %d: %s", delegate, int(s), log.take())
	}
	if weights != nil {
		c.cache, c.cacheErr = weights.finish()
	}
	return c.readTensors()
}

// applyXNNPACK gives the graph to XNNPACK.
func (c *Classifier) applyXNNPACK(delegate inference.Delegate, graph []node, weights *weightCache) error {
	half := delegate == inference.XNNPACKFP16
	if half {
		if err := checkHalf(graph, nativeHalf); err != nil {
			return fmt.Errorf("delegate %s: %w", delegate, err)
		}
	}
	x, err := newXNNPACK(c.threads, half, weights)
	if err != nil {
		return err
	}
	if err := c.apply(x, string(delegate)); err != nil {
		return err
	}
	return c.count(delegate)
}

// applyExternal gives the graph to a delegate out of a shared library, and what that leaves to XNNPACK: on the built-in kernels a few
// operators would take longer than all others together.
func (c *Classifier) applyExternal(delegate inference.Delegate) error {
	e, err := newExternal(delegate)
	if err != nil {
		return err
	}
	if err := c.apply(e, string(delegate)); err != nil {
		return err
	}
	if err := c.count(delegate); err != nil || len(c.delegation.Rest) == 0 {
		return err
	}
	x, err := newXNNPACK(c.threads, false, nil)
	if err != nil {
		return err
	}
	return c.apply(x, string(inference.XNNPACK))
}

// apply gives the graph, as those before left it, to a delegate, which the Classifier owns from then on.
func (c *Classifier) apply(d delegates.Delegater, name string) error {
	c.owned = append(c.owned, d)
	if s := modifyGraph(c.interpreter, d); s != tflite.OK {
		return fmt.Errorf("give the graph to delegate %s: status %d: %s", name, int(s), c.log.take())
	}
	return nil
}

// count writes down how much of the graph the delegate took, and what it left. A delegate that took nothing is an error.
func (c *Classifier) count(delegate inference.Delegate) error {
	graph, _, err := c.inspect()
	if err != nil {
		return err
	}
	rest, taken := left(graph)
	if taken == 0 {
		return fmt.Errorf("delegate %s took no node of the graph", delegate)
	}
	c.delegation.Rest, c.delegation.Taken = rest, c.delegation.Total-len(rest)
	return nil
}

// inspect reads the graph as it is now. total may be more than the nodes of a very large one.
func (c *Classifier) inspect() (graph []node, total int, err error) {
	i, err := newInspector()
	if err != nil {
		return nil, 0, err
	}
	if err := c.apply(i, "inspector"); err != nil {
		return nil, 0, err
	}
	graph, total = i.graph()
	return graph, total, nil
}

// prepareWeights opens or prepares the file of packed weights at path, for XNNPACK. Without one the model runs as well: why there is
// none is no error, but kept for WeightCache.
func (c *Classifier) prepareWeights(delegate inference.Delegate, graph []node, model []byte, path string) *weightCache {
	c.cache, c.cacheErr = CacheUnused, nil
	if path == "" {
		return nil
	}
	if c.cacheErr = cacheable(graph, c.delegation.Total, delegate == inference.XNNPACKFP16); c.cacheErr != nil {
		return nil
	}
	weights, err := openWeightCache(path, delegate, model)
	if err != nil {
		c.cacheErr = err
		return nil
	}
	c.owned = append(c.owned, weights)
	return weights
}
