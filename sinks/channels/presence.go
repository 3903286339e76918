package channels

import (
	"fmt"
	"strings"
	"sync"
	"unique"

	"github.com/dwellhq/dwell/schemas"
)

// Presences says which gateway node holds each user's channel. It may be used by many goroutines.
type Presences struct {
	nodes Nodes

	mu sync.RWMutex
	at map[string]unique.Handle[string] // by tenant/user; a few nodes hold millions of users
}

// NewPresences starts empty and takes only the nodes that are allowed.
func NewPresences(nodes Nodes) *Presences {
	return &Presences{nodes: nodes, at: map[string]unique.Handle[string]{}}
}

// Set applies one presence record. A record whose node may not be called counts as a user who went
// away: what we knew before is outdated in any case. The error says why it was refused.
func (p *Presences) Set(key string, rec *schemas.Presence) error {
	node := strings.TrimRight(rec.GetNode(), "/")
	if err := p.nodes.Check(node); err != nil {
		p.Delete(key)
		return fmt.Errorf("presence of %s: %w", key, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[key] = unique.Make(node)
	return nil
}

// Delete says that the user (tenant/user) went away.
func (p *Presences) Delete(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, key)
}

// Node is the base URL of the node that holds the user, without a slash at its end.
func (p *Presences) Node(key string) (string, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	h, ok := p.at[key]
	if !ok {
		return "", false
	}
	return h.Value(), true
}

// Len is the number of users that are there.
func (p *Presences) Len() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.at)
}
