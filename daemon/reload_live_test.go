package daemon

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sightd/publish"
)

// still is a live source in which nothing moves: it is classified again only where there is a reason.
func still(t *testing.T) Config {
	c := liveConfig(t, recording(t, 10, "golf_ball"))
	c.Sources[0].Refresh, c.Sources[0].Frozen = time.Hour, 0
	return c
}

// TestLiveReload replaces the model of a source in which nothing moves: other labels make the shown one leave, and are then seen.
func TestLiveReload(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	c := still(t)
	r := runWith(t, c)
	events := r.judgements(t, "door")
	r.until(t, publish.SourceStateTopic(testBase, "door"), `"label":"golf ball"`)
	var asking sync.WaitGroup
	end := make(chan struct{})
	asking.Go(func() { // explanations meanwhile
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			default:
				r.client.Publish(publish.RequestTopic(testBase, publish.Explain), 1, false, fmt.Sprintf(`{"transaction":%d,"source":"door"}`, i)).Wait()
			}
		}
	})
	forget(events)
	sums, labels := []string{defaultSum(t)}, []string{"golf ball"}
	paths := []string{""}
	for _, prefix := range []string{"other ", "third "} {
		path, sum := newModel(t, strings.TrimSpace(prefix), prefix)
		paths, sums, labels = append(paths, path), append(sums, sum), append(labels, prefix+"golf ball")
	}
	before := 0
	for _, i := range []int{1, 2, 0, 1} {
		use(t, c, paths[i])
		r.reload(t, fmt.Sprint("to ", i, " from ", before), sums[i], `"changed":true`)
		left := nextOf(t, events)
		if left.EventType != "leave" || left.Label == nil || *left.Label != labels[before] || left.SHA256 != sums[before] ||
			left.Error == nil || *left.Error != "the model was replaced" {
			t.Fatalf("want a %s leave, because the model was replaced, have %v", labels[before], left)
		}
		entered := nextOf(t, events)
		if entered.EventType != "enter" || entered.Label == nil || *entered.Label != labels[i] || entered.SHA256 != sums[i] {
			t.Fatalf("want a %s enter, judged by %s, have %v", labels[i], sums[i], entered)
		}
		r.until(t, publish.SourceStateTopic(testBase, "door"), fmt.Sprintf(`"label":%q`, labels[i]))
		before = i
	}
	close(end)
	asking.Wait()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	settle(t, goroutines)
}

// forget forgets the events so far.
func forget(events <-chan judgement) {
	for len(events) > 0 {
		<-events
	}
}

// TestLiveReloadSameLabels has nothing leave where the labels stay, and the picture judged again, by the new model.
func TestLiveReloadSameLabels(t *testing.T) {
	c := still(t)
	r := runWith(t, c)
	events := r.judgements(t, "door")
	r.until(t, publish.SourceStateTopic(testBase, "door"), `"label":"golf ball"`)
	asked := 0
	looks := func() (judged, unchanged int) {
		t.Helper()
		asked++
		id := fmt.Sprintf(`"transaction":"looks %d"`, asked)
		r.send(t, publish.RequestTopic(testBase, publish.HealthCheck), "{"+id+"}")
		var answer struct {
			Data struct {
				Health struct {
					Sources []struct{ Done, Unchanged int }
				}
			}
		}
		if err := json.Unmarshal([]byte(r.until(t, publish.ResponseTopic(testBase, publish.HealthCheck), id)), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Data.Health.Sources[0].Done, answer.Data.Health.Sources[0].Unchanged
	}
	rest := func() int { // waits until nothing is classified any more
		t.Helper()
		last, since := looks()
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			judged, unchanged := looks()
			if judged != last {
				last, since = judged, unchanged
			} else if unchanged >= since+10 {
				return judged
			}
		}
		t.Fatal("it is classified for ever")
		return 0
	}
	before := rest()
	forget(events)
	for i := range 3 {
		path, sum := newModel(t, fmt.Sprint("model ", i), "")
		use(t, c, path)
		r.reload(t, sum, sum, `"changed":true`)
		now := rest()
		if now <= before {
			t.Errorf("want the picture judged by the new model too, have %d looks before and %d after", before, now)
		}
		before = now
	}
	for len(events) > 0 {
		t.Errorf("want nothing said, have %v", <-events)
	}
	r.restart(t, "door")
	if e := nextOf(t, events); e.EventType != "leave" {
		t.Errorf("want the label shown until the source is switched off, have %v", e)
	}
	if e := nextOf(t, events); e.EventType != "enter" || e.Model != "model 2" {
		t.Errorf("want the new model's event, have %v", e)
	}
}
