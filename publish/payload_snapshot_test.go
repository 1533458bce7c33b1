package publish

import (
	"strings"
	"testing"
)

func TestSnapshotResponse(t *testing.T) {
	got, err := SnapshotResponse(quote("a-1"), "door", when, []byte(jpegFile), MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "response-snapshot.json", got)
	conforms(t, "response", got)

	const limit, most = 1024, 339
	for size := range 2 * most {
		got, err := SnapshotResponse(quote(strings.Repeat("\\", maxTransaction)), "door", when, []byte(strings.Repeat("x", size)), limit)
		if err != nil || len(got) > limit {
			t.Fatalf("%d bytes: have %d, %v", size, len(got), err)
		}
		conforms(t, "response", got)
		refused := strings.Contains(string(got), "picture of door is too large for an answer: want at most 339 bytes of JPEG, have")
		if refused != (size > most) {
			t.Errorf("%d bytes: have %s", size, got)
		}
	}
}
