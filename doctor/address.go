package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// cameraPatience is how long a camera or a server may take to be found and to accept a connection.
const cameraPatience = 3 * time.Second

// address looks for what a URL names. User and password stay here: nothing is said over the connection.
func (e *examiner) address(ctx context.Context, name string, i int) Finding {
	c := e.config.Sources[i]
	shown := c.Redacted().URL
	f := Finding{Name: name, Status: Fail, Hint: fmt.Sprintf("set sources[%d].url to the address of the stream", i)}
	u, err := url.Parse(c.URL)
	if err != nil { // its text has the URL
		f.Detail = shown + ": want a URL"
		return f
	}
	if u.Scheme == "file" {
		return recording(ctx, name, u.Path, fmt.Sprintf("set sources[%d].url to a video, as file:///srv/film.mp4", i), false)
	}
	host, port := u.Hostname(), cmp.Or(u.Port(), defaultPort(u.Scheme))
	if waits(u.Scheme, host) {
		f.Status, f.Detail, f.Hint = OK, shown+": what is sent there is taken; whether somebody sends is seen by sightd alone", ""
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, cameraPatience)
	defer cancel()
	addresses, err := e.lookup(ctx, host)
	if err != nil || len(addresses) == 0 {
		f.Detail = fmt.Sprintf("%s: the name %s isn't known here: %s", shown, host, lookupTrouble(ctx, err))
		f.Hint = "use the camera's IP address, as its app or the router shows it, or look at the board's DNS (resolvectl query " + host + ")"
		return f
	}
	if overUDP(u.Scheme) || port == "" {
		f.Status, f.Detail, f.Hint = OK, shown+" is at "+addresses[0]+"; whether it sends is seen by sightd alone", ""
		return f
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		f.Detail, f.Hint = connectTrouble(ctx, shown, addresses[0], port, err)
		return f
	}
	conn.Close() // nothing was said
	f.Status, f.Hint = OK, ""
	f.Detail = fmt.Sprintf("%s: %s accepts connections on port %s; what it sends isn't looked at", shown, addresses[0], port)
	return f
}

func lookupTrouble(ctx context.Context, err error) string {
	var dns *net.DNSError
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("no answer within %v", cameraPatience)
	case errors.As(err, &dns):
		return dns.Err
	case err != nil:
		return err.Error()
	}
	return "it has no address"
}

// connectTrouble says why there is no connection, and what to do.
func connectTrouble(ctx context.Context, shown, address, port string, err error) (detail, hint string) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s: %s is there, but nothing listens on port %s", shown, address, port),
			"switch on what the camera calls RTSP, ONVIF or stream, or look for its port"
	case ctx.Err() != nil:
		return fmt.Sprintf("%s: no answer from %s, port %s, within %v", shown, address, port, cameraPatience),
			"look whether it is switched on and in the same network, and whether a firewall is between (ping " + address + ")"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Sprintf("%s: there is no way to %s", shown, address), "look at the board's network (ip route), and whether the camera is switched on"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Sprintf("%s: connect to %s, port %s: %v", shown, address, port, err), "look at the camera's address and the board's network"
}

// defaultPort is that of a scheme, "" for one that has none.
func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https", "rtmps":
		return "443"
	case "rtsp":
		return "554"
	case "rtsps":
		return "322"
	case "rtmp":
		return "1935"
	}
	return ""
}

func overUDP(scheme string) bool { return scheme == "udp" || scheme == "rtp" || scheme == "srt" }

// waits reports whether pictures are sent to an address of this board, or to all of a network.
func waits(scheme, host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || overUDP(scheme) && err == nil && (ip.IsMulticast() || ip.IsUnspecified() || ip.IsLoopback())
}
