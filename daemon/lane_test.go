package daemon

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sightd/decide"
	"sightd/inference"
	"sightd/publish"
)

// counting counts what is run, and fails from a run on.
type counting struct {
	inference.Classifier
	runs  atomic.Int64
	fails int64 // 0: never
}

func (c *counting) Invoke() error {
	if n := c.runs.Add(1); c.fails != 0 && n >= c.fails {
		return errors.New("the machine fails")
	}
	return c.Classifier.Invoke()
}

// crowd is a daemon whose network of 2 threads is asked for many pictures at once.
type crowd struct {
	*observed
	run           *counting
	taken, queued chan *job
	judged        chan *job
}

func newCrowd(t *testing.T, model, labels string) *crowd {
	t.Helper()
	if runtime.NumCPU() < 2 {
		t.Skip("one processor: there are no lanes")
	}
	c := &crowd{observed: observe(t, steadfast(t)), taken: make(chan *job), queued: make(chan *job, queuedJobs), judged: make(chan *job, 100)}
	if err := c.engine().Close(); err != nil {
		t.Fatal(err)
	}
	configured := EngineOptions{Model: model, Labels: labels, Options: inference.Options{Delegate: inference.XNNPACK}, Top: 3}
	o := configured
	o.Options.Threads = 1 // as a trial may have found to be faster for one picture: there are lanes all the same
	e, err := OpenEngine(o)
	if err != nil {
		t.Fatal(err)
	}
	c.run = &counting{Classifier: e.run}
	e.run = c.run
	c.network.Store(&network{engine: e, options: configured})
	return c
}

// judgeAll has files judged, and gives their jobs in the order in which they were given out.
func (c *crowd) judgeAll(files [][]byte) ([]*job, error) {
	_, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var all sync.WaitGroup
	var err error
	all.Go(func() { err = c.judge(c.taken, c.queued, c.judged, cancel) })
	for _, file := range files {
		c.queued <- &job{met: c.now(), request: &publish.IncomingRequest{Request: publish.Request{Image: file}}, done: make(chan struct{})}
	}
	close(c.taken)
	close(c.queued)
	all.Wait()
	close(c.judged)
	var jobs []*job
	for j := range c.judged {
		<-j.done
		jobs = append(jobs, j)
	}
	return jobs, err
}

// plainPNG is a picture of one grey.
func plainPNG(t *testing.T, level int) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range m.Pix {
		m.Pix[i] = uint8(level)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestLanes has many pictures judged, most of them side by side: each as if it were alone, and all in their order.
func TestLanes(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	model, labels := quickNetwork(t)
	t.Run("all", func(t *testing.T) {
		c := newCrowd(t, model, labels)
		var files [][]byte
		for i := range 60 {
			files = append(files, plainPNG(t, 4*i))
		}
		files[30] = []byte("no picture")
		jobs, err := c.judgeAll(files)
		if err != nil || len(jobs) != len(files) {
			t.Fatalf("got %d jobs, %v, want %d", len(jobs), err, len(files))
		}
		beside := int64(len(files)-1) - c.run.runs.Load()
		if beside < int64(len(files)/2) {
			t.Errorf("%d pictures were judged in lanes, want most of %d", beside, len(files))
		}
		alone := &lane{d: c.Daemon, decoder: c.decoder}
		for i, j := range jobs {
			if !bytes.Equal(j.request.Image, files[i]) {
				t.Fatalf("picture %d comes out of order", i)
			}
			if i == 30 {
				if j.fate != nil || j.event.Kind != decide.Refused {
					t.Errorf("no picture: got %v, %v, want it refused", j.event.Kind, j.fate)
				}
				continue
			}
			one := &job{request: j.request, met: j.met}
			if err := c.step(one, alone); err != nil {
				t.Fatal(err)
			}
			if j.fate != nil || len(j.event.Top) != len(one.event.Top) {
				t.Fatalf("picture %d: got %v, %v, want %v", i, j.event.Top, j.fate, one.event.Top)
			}
			for k := range one.event.Top {
				if j.event.Top[k] != one.event.Top[k] {
					t.Errorf("picture %d: got %v, alone %v", i, j.event.Top, one.event.Top)
				}
			}
		}
	})
	settle(t, goroutines)
}

// TestLanesRefuse has pictures among others for which the network says what is no number.
func TestLanesRefuse(t *testing.T) {
	model, labels := dazzledNetwork(t)
	c := newCrowd(t, model, labels)
	var files [][]byte
	for i := range 40 {
		files = append(files, plainPNG(t, 128*(i%2)))
	}
	jobs, err := c.judgeAll(files)
	if err != nil {
		t.Fatal(err)
	}
	for i, j := range jobs {
		want := decide.Classified
		if i%2 == 1 {
			want = decide.Refused
		}
		if j.fate != nil || j.event.Kind != want {
			t.Errorf("picture %d: got %v %q, %v, want %v", i, j.event.Kind, j.event.Error, j.fate, want)
		}
	}
}

// TestLanesFault has the machine fail: what comes then is given back, and the error is told.
func TestLanesFault(t *testing.T) {
	model, labels := quickNetwork(t)
	c := newCrowd(t, model, labels)
	c.run.fails = 3
	var files [][]byte
	for i := range 6 {
		files = append(files, plainPNG(t, i))
	}
	jobs, err := c.judgeAll(files)
	if err == nil || !strings.Contains(err.Error(), "the machine fails") {
		t.Errorf("got %v, want that the machine fails", err)
	}
	for i, j := range jobs {
		if stopped := errors.Is(j.fate, errStopped); stopped != (i >= 2) {
			t.Errorf("picture %d: got %v", i, j.fate)
		}
	}
}

// TestLaneFollows has another model in use between two pictures of a lane, and the lane rest.
func TestLaneFollows(t *testing.T) {
	model, labels := quickNetwork(t)
	c := newCrowd(t, model, labels)
	l := &lane{d: c.Daemon, own: true, opens: new(sync.Mutex)}
	before := c.network.Load()
	e := l.follow(before)
	if e == nil || e.Threads() != 1 || l.follow(before) != e {
		t.Fatal("want one engine of 1 thread for one network")
	}
	next := *before
	if other := l.follow(&next); other == nil || other == e {
		t.Error("want another engine for another network")
	}
	gone := *before
	replaced := *before.engine
	replaced.SHA256, gone.engine = strings.Repeat("0", 64), &replaced // the file is another one now
	if l.follow(&gone) != nil {
		t.Error("want no engine of another file than the network's")
	}
	if l.follow(before) == nil {
		t.Error("want an engine again")
	}
	l.drop()
	if l.engine != nil || l.like != nil {
		t.Error("want nothing left")
	}
}
