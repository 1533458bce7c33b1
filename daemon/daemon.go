// Package daemon is sightd as a service: it knows the whole path of a picture, from the watched folder or the camera to the MQTT
// broker, and starts, connects and stops its parts. It holds the configuration too, and the Engine, the model with its
// preprocessing, which sightd's other commands run as well, and Replay, which decides on a recording as the daemon does on a camera.
//
// A picture's way is Daemon.step, in step.go: start reading there. What a live source's pictures go through before and after it is
// in watch.go.
package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sightd/camera"
	"sightd/camera/picture"
	"sightd/daemon/album"
	"sightd/publish"
	"sightd/publish/outbox"
)

// Options are what the configuration doesn't say.
type Options struct {
	Version string       // of sightd, published in bridge/info
	Log     *slog.Logger // required
	Sample  bool         // put two drawn pictures into the first folder, so that there is something to see

	// Trials is the program, with its arguments, of a process that runs Try, so that the best delegate is found out; nil: XNNPACK is taken,
	// or where it can't be had the built-in kernels.
	Trials []string

	// Reload has the configuration and the model read again, as the request does; nil: only that does.
	Reload <-chan struct{}

	// Load reads the configuration again; nil: it stays as it is, and only the model is read. Level takes over log.level; nil: it stays.
	Load  func() (Config, error)
	Level func(LogConfig)

	leastLimit time.Duration // that a delegate has for a picture at least; 0: the package's

	// Notify is where systemd hears how sightd fares; nil: nobody listens.
	Notify *Notify

	// Ready is called once when the folders are watched, with the URL of the broker that is published to; nil: nobody asks.
	Ready func(broker string)
}

// stopTime bounds how long a stop waits for the broker to acknowledge what was sent.
const stopTime = 5 * time.Second

// maxBrokerPacket is for the embedded broker: a picture of 16 MiB as base64 in JSON is one of 22.
const maxBrokerPacket = 24 << 20

// Daemon runs the parts. It is made by Run.
type Daemon struct {
	config  Config
	opts    Options
	log     *slog.Logger
	now     func() time.Time
	started time.Time
	chooser *Chooser
	network atomic.Pointer[network] // that judges; nil before it is open
	decoder *camera.Decoder
	outbox  *outbox.Outbox
	client  *publish.Client
	broker  *publish.Broker // the embedded one; nil: there is none
	claim   net.Listener    // keeps others on this machine from the topics; nil: nothing does
	linked  fingerprint     // of what client and broker were opened with; zero: they aren't open
	sources []*source
	site    site
	vouched time.Time // until then a delegate is believed that the network puts out what is no number; guarded by cores
	pace    pace
	service *service     // tells systemd; nil: nobody listens
	judging *track       // what the judge is at
	cores   sync.RWMutex // held alone to run the network on all its threads, and by each lane that runs its own on one
	acting  *track       // what the one who holds cores alone is at
	steps   pace         // of live sources, in milliseconds of all that is done for a picture
	heat    heat
	album   *album.Album                           // of snapshots; nil: none are kept
	look    chan struct{}                          // has report look at the sources
	flights chan struct{}                          // holds a token for each of the folders' pictures that is on its way
	heirs   chan *network                          // what is to take the network's place
	asks    chan func(publish.ReloadResult, error) // each for another reading of configuration and model, and for its answer; the flow's
	sitting chan struct{}                          // holds a token for each snapshot that is waited for
	waiting sync.WaitGroup

	ends     <-chan struct{}        // closed when all ends: not for another configuration
	end      context.CancelFunc     // closes it; Run's
	requests uint64                 // that were judged; deliver's
	renewal  *renewal               // why the flow has ended: what it is to go on with; nil: all ends
	parted   map[string]savedSource // what is remembered of sources that were closed, by name
	refused  refusedReload

	saving    sync.Mutex
	announced []string // topics
	savedText string
}

// Run watches the folders of the configuration, classifies what comes, and publishes it, until ctx ends or the machine fails: a
// picture that can't be classified, or a broker that is away, is no failure. When it returns all goroutines have ended and everything is freed.
func Run(ctx context.Context, config Config, opts Options) (err error) {
	config, err = config.named()
	if err != nil {
		return err
	}
	d := &Daemon{
		config: config, opts: opts, log: opts.Log, now: time.Now,
		look: make(chan struct{}, 1), heirs: make(chan *network), parted: map[string]savedSource{},
		flights: make(chan struct{}, inFlight), sitting: make(chan struct{}, heldRequests/2),
	}
	d.started = d.now()
	d.service = newService(opts.Notify, d.log, d.now)
	d.judging = d.service.track("the judge's step")
	defer context.AfterFunc(ctx, d.service.stopping)()
	defer d.service.stopping()
	d.log.Info("sightd starts", "version", opts.Version, "name", config.Name, "sources", len(config.Sources))
	defer func() {
		if err = errors.Join(err, d.close()); err == nil {
			d.log.Info("sightd has stopped")
		}
	}()
	ending, end := context.WithCancel(ctx)
	defer end() // before close: what hangs then isn't waited for as long as a picture
	d.ends, d.end = ending.Done(), end
	if err := d.openOutbox(); err != nil { // first: no other sightd has this state then
		return err
	}
	defer func() { err = errors.Join(err, d.site.close()) }()
	if err := d.site.apply(d); err != nil {
		return err
	}
	if err := d.openModel(ctx); err != nil {
		if ctx.Err() != nil { // that is why
			d.log.Info("stopped before the model was ready", "err", err)
			return nil
		}
		return err
	}
	if err := d.openAlbum(); err != nil {
		return err
	}
	before := d.restore()
	maps.Copy(d.parted, before.Sources)
	if err := d.openSources(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.unlink()) }()
	url, err := d.link()
	if err != nil {
		return err
	}
	if err := d.introduce(before); err != nil {
		return err
	}
	if d.opts.Sample {
		if err := dropSamples(d.firstFolder()); err != nil {
			return err
		}
	}
	if folder := d.firstFolder(); folder != "" {
		d.log.Info("ready: drop pictures into the folder, see the labels with the command", "folder", folder, "command", watchCommand(url, d.config.base()))
	} else {
		d.log.Info("ready: see the labels with the command", "command", watchCommand(url, d.config.base()))
	}
	d.service.started()
	if d.opts.Ready != nil {
		d.opts.Ready(url)
	}
	defer d.service.stopping() // before what follows
	for {
		d.site.show(d)
		err := d.flow(ctx)
		d.site.show(nil)
		if err != nil || d.renewal == nil || ctx.Err() != nil {
			return err
		}
		d.service.feed("", d.now()) // a step, while nobody looks
		if err := d.renew(); err != nil {
			return err
		}
		d.service.started()
	}
}

// openModel opens what is to be run, and what finds out how.
func (d *Daemon) openModel(ctx context.Context) error {
	start := d.now()
	d.service.starting("opening the model", startTime)
	d.decoder = camera.NewDecoder(d.limits())
	d.openChooser()
	n, err := d.openFirst(ctx)
	if err != nil {
		return err
	}
	d.network.Store(n)
	e := n.engine
	d.chooser.tidy(e.SHA256)
	if n.trouble != "" {
		d.log.Warn("the model isn't run as it should be", "why", n.trouble)
	}
	if e.Proven == 0 {
		d.log.Warn("the model has no card beside it: it is run without proof that this machine runs it correctly", "model", e.Name)
	}
	d.log.Info("model is ready", "model", e.Name, "classes", len(e.Labels), "delegate", e.Delegation().String(),
		"threads", e.Threads(), "why", n.why(), "golden_inputs", e.Proven, "took", d.now().Sub(start).Round(time.Millisecond))
	return nil
}

func (d *Daemon) limits() picture.Limits { return d.config.Limits.picture() }

// picture are the limits that package picture understands.
func (c LimitsConfig) picture() picture.Limits {
	return picture.Limits{MaxPixels: c.MaxPixels, MaxBytes: int64(c.MaxFileMB) << 20}
}

// info is what the bridge says about itself.
func (d *Daemon) info() publish.Info {
	n := d.network.Load()
	return publish.Info{
		Version:  d.opts.Version,
		Model:    publish.ModelInfo{Name: n.engine.Name, SHA256: n.engine.SHA256, Labels: n.engine.Labels},
		Delegate: n.about(),
		Board:    board(),
		Started:  d.started,
	}
}

func (d *Daemon) maxPayload() int { return d.config.maxPayload() }

// model is what events name as their model.
func (d *Daemon) model() publish.Model { return d.engine().Model() }

// firstFolder is the path of the first folder among the sources, "" where there is none.
func (d *Daemon) firstFolder() string {
	for _, s := range d.sources {
		if s.folder != nil {
			return s.config.Path
		}
	}
	return ""
}

// introduce publishes what there is.
func (d *Daemon) introduce(before saved) error {
	for _, s := range d.sources {
		if err := d.tellAvailability(s); err != nil {
			return err
		}
	}
	for _, name := range before.Pictured {
		if d.config.Snapshots.MQTT && slices.ContainsFunc(d.sources, func(s *source) bool { return s.config.Name == name }) {
			continue
		}
		if err := d.client.SetImage(name, nil); err != nil {
			d.log.Warn("a picture that was published stays with the broker", "source", name, "err", err)
		}
	}
	if err := d.announce(before.Announced); err != nil {
		return err
	}
	if err := d.save(false); err != nil {
		d.log.Warn("the next start won't know what was announced", "err", err)
	}
	return nil
}

// close frees what was opened, but for the client and the broker.
func (d *Daemon) close() error {
	errs := []error{d.renewal.drop()}
	closed := make(chan error)
	for _, s := range d.sources {
		go func() { closed <- s.close() }() // at once: a camera that hangs takes its time
	}
	for range d.sources {
		errs = append(errs, <-closed)
	}
	if d.outbox != nil {
		errs = append(errs, d.outbox.Close())
	}
	if d.decoder != nil {
		errs = append(errs, d.decoder.Close())
	}
	if n := d.network.Load(); n != nil {
		errs = append(errs, d.closeNetwork(n))
	}
	return errors.Join(errs...)
}

// machineID tells this machine from others; a system without one goes by its host's name.
func machineID() string {
	for _, file := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if data, err := os.ReadFile(file); err == nil && len(strings.TrimSpace(string(data))) > 0 {
			return strings.TrimSpace(string(data))
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}

// board names the machine, as its device tree does where there is one.
func board() string {
	if data, err := os.ReadFile("/proc/device-tree/model"); err == nil {
		return strings.TrimRight(string(data), "\x00\n")
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}
