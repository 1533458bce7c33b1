// Package view looks at small grey copies of a live source's pictures and says which are worth a classification: whether one
// differs from the picture that was classified last by more than noise, and whether there is anything to see at all. It tells
// frozen, black, overexposed and covered cameras. It decodes and shrinks nothing, that is package camera's business; it keeps no
// clock, starts nothing, and recognizes no objects. The same pictures at the same times always have the same answers.
package view

import (
	"fmt"
	"hash/maphash"
	"time"
)

// Width and Height are the size of a Picture, in cells.
const Width, Height = 64, 48

const cells = Width * Height

// Picture is a small grey picture: luma from 0 to 255, row by row from the top. Each cell is an average over its part of the
// camera's picture, which may have any shape.
type Picture [cells]byte

// Auto is the Motion of a threshold that follows the noise.
const Auto = -1

// Options say what an Eye calls changed and what a problem.
type Options struct {
	// Motion is the share of the picture, from 0 to 1, that must have changed. 0: every picture counts as changed. Less than
	// 0: as little as can be told from noise, 8 of the 3072 cells.
	Motion float64

	Refresh time.Duration // count a picture as changed at least so often; 0: 10 s; less than 0: never
	Frozen  time.Duration // equal pictures for so long are a problem; 0 or less: never
	Blind   time.Duration // nothing to be seen for so long is a problem; 0: 2 s; less than 0: never
}

const (
	defaultRefresh = 10 * time.Second
	defaultBlind   = 2 * time.Second

	autoCells     = 8 // a 400th of the picture
	frozenRepeats = 3 // a source of rare pictures has shown no frozen one before
)

// Look is what an Eye sees in a picture.
type Look struct {
	// Changed says that the picture is worth a classification: it differs from the one that was classified last, there was none,
	// or it is time for a Refresh. It stays so until Classified is called, or the picture is again as it was.
	Changed bool

	Motion   float64 // share of the picture that has changed since the last classification, from 0 to 1; 1 before the first
	Repeated bool    // the bytes were those of the picture before
	Frozen   bool    // they have been for too long
	Sight    Sight   // of this very picture, whether or not that is a Problem yet

	// Problem is "" or, for people, what has been wrong for long enough. It ends when that was no more so for half as long. The
	// text doesn't change while the problem lasts.
	Problem string
}

// Eye looks at the pictures of one source. It allocates nothing, and isn't safe for concurrent use.
type Eye struct {
	options Options
	need    int // changed cells for Changed
	frozen  string

	seed     maphash.Seed
	hash     uint64 // of the last picture's bytes
	hashed   bool
	repeated bool      // the last bytes were those before
	looked   bool      // the picture of these bytes was looked at
	repeats  int       // how often these bytes have come again, up to frozenRepeats
	since    time.Time // when these bytes first came

	motion motion
	blind  blind
	now    time.Time // of the last look
	begun  bool      // there was one
	sight  Sight     // of the last picture
	share  float64   // of it that has changed

	classified time.Time // when the reference was looked at
}

// New makes an Eye.
func New(o Options) *Eye {
	if o.Refresh == 0 {
		o.Refresh = defaultRefresh
	}
	if o.Blind == 0 {
		o.Blind = defaultBlind
	}
	e := &Eye{options: o, need: autoCells, seed: maphash.MakeSeed()}
	if o.Motion >= 0 {
		e.need = min(max(int(min(o.Motion, 1)*cells+0.999), 1), cells)
	}
	e.frozen = FrozenProblem(o.Frozen)
	return e
}

// FrozenProblem is what is said of pictures that are the same for so long.
func FrozenProblem(d time.Duration) string {
	return fmt.Sprintf("picture is frozen: the same for %v and longer", d)
}

// Identical takes the bytes of the next picture, encoded or raw, which aren't kept, and says whether they are those of the last
// one that Look has seen. That picture need not be decoded: Again looks at it. Otherwise Look comes next, or nothing where
// the bytes turn out to be no picture. A caller without Identical is never told of frozen pictures.
func (e *Eye) Identical(data []byte, now time.Time) bool {
	hash := maphash.Bytes(e.seed, data)
	e.repeated = e.hashed && hash == e.hash
	if e.repeated && !now.Before(e.since) {
		e.repeats = min(e.repeats+1, frozenRepeats)
		return e.looked
	}
	e.looked = e.looked && e.repeated
	e.hash, e.hashed, e.repeats, e.since = hash, true, 0, now
	return e.looked
}

// Again looks once more at the last picture, after Identical has said that it came again.
func (e *Eye) Again(now time.Time) Look {
	return e.tell(now)
}

// Look looks at a picture, which is only read and not kept.
func (e *Eye) Look(p *Picture, now time.Time) Look {
	passed := time.Duration(0)
	if e.begun {
		passed = max(now.Sub(e.now), 0)
	}
	e.share = float64(e.motion.measure(p, passed)) / cells
	e.sight = e.blind.judge(p, e.motion.level)
	e.looked, e.begun = true, true
	return e.tell(now)
}

// Classified says that the last picture was classified: it is what the next ones are compared with.
func (e *Eye) Classified() {
	e.motion.refer()
	e.share, e.classified = 0, e.now
}

// tell sums the last look up.
func (e *Eye) tell(now time.Time) Look {
	e.now = now
	l := Look{Motion: e.share, Repeated: e.repeated, Sight: e.sight}
	if !e.motion.referred {
		l.Motion = 1
	}
	age := now.Sub(e.classified) // less than 0 where a recording begins again
	refresh := e.options.Refresh > 0 && (age >= e.options.Refresh || age < 0)
	l.Changed = !e.motion.referred || e.options.Motion == 0 || refresh || e.share*cells >= float64(e.need)
	l.Frozen = e.options.Frozen > 0 && e.repeated && e.repeats >= frozenRepeats && now.Sub(e.since) >= e.options.Frozen
	if l.Frozen {
		l.Problem = e.frozen
	}
	if e.options.Blind >= 0 {
		if lasting := e.blind.last(e.sight, now, e.options.Blind); lasting != Clear {
			l.Problem = lasting.problem()
		}
	}
	return l
}
