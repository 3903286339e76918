package topics

import (
	"time"

	"github.com/dwellhq/dwell/schemas"
)

const day = 24 * time.Hour

// What users do, and what is decided. All are keyed by tenant/user and have the same partitions.
var (
	// Events is what users did, raw: duplicates and all.
	Events = Of(Spec{Name: "dwell.events.v1", Retention: 30 * day, Framed: true, Message: "Event"}, schemas.Codec[*schemas.Event](schemas.EventCodec{}))
	// Frames are exposure snapshots, raw.
	Frames = Of(Spec{Name: "dwell.frames.v1", Retention: 30 * day, Framed: true, Message: "Frame"}, codec[schemas.Frame]())
	// Facts is each event once, in blocks.
	Facts = Blocks{&Spec{Name: "dwell.facts.v1", Retention: 30 * day, Pack: packFacts}}
	// Actions ask a channel to reach a user.
	Actions = Of(Spec{Name: "dwell.actions.v1", Retention: 7 * day}, codec[schemas.Action]())
	// Verdicts say why an action was, or was not, taken.
	Verdicts = Of(Spec{Name: "dwell.verdicts.v1", Retention: 30 * day}, codec[schemas.Verdict]())
	// Deliveries are the channels' answers to actions.
	Deliveries = Of(Spec{Name: "dwell.deliveries.v1", Retention: 7 * day, Framed: true, Message: "Delivery"}, codec[schemas.Delivery]())
	// Identities go from one row of the Decider to another: an id hands itself over to the user that claims
	// it. Operators write here to have a user erased.
	Identities = Of(Spec{Name: LoopName("engage"), Retention: 30 * day}, codec[schemas.Identity]())
	// Erasures say whom an operator has had erased, or let come again.
	Erasures = Of(Spec{Name: "dwell.erasures.v1", Retention: 30 * day}, codec[schemas.Erasure]())
	// Members say who is in which version of an uploaded audience.
	Members = Of(Spec{Name: "dwell.members.v1", Retention: 7 * day}, codec[schemas.Member]())
	// Traits are what identify calls said, each call once.
	Traits = Of(Spec{Name: "dwell.traits.v1", Retention: 7 * day}, codec[schemas.TraitUpdate]())
	// Profiles are all that identify calls said of each user.
	Profiles = Of(Spec{Name: "dwell.profiles.v1", Compact: true}, codec[schemas.Profile]())
	// Exposures are ledger entries.
	Exposures = Of(Spec{Name: "dwell.exposures.v1", Retention: 90 * day}, codec[schemas.Exposure]())
)

// What everybody holds in memory: compacted, one partition each.
var (
	// Declarations are applied files, keyed by kind/tenant/name. What a journal says was in force must be
	// there for as long as the journal is, and that is as long as the longest input.
	Declarations = Of(Spec{Name: "dwell.declarations.v1", Partitions: 1, Compact: true, CompactionLag: 30 * day}, codec[schemas.Declaration]())
	// WriteKeys are keyed by the key's hash.
	WriteKeys = Of(Spec{Name: "dwell.keys.v1", Partitions: 1, Compact: true}, codec[schemas.WriteKey]())
	// Presences are keyed by tenant/user.
	Presences = Of(Spec{Name: "dwell.presence.v1", Partitions: 1, Compact: true}, codec[schemas.Presence]())
	// Workers are keyed by worker id.
	Workers = Of(Spec{Name: "dwell.workers.v1", Partitions: 1, Compact: true}, codec[schemas.WorkerStatus]())
	// Replays are keyed by tenant/name.
	Replays = Of(Spec{Name: "dwell.replays.v1", Partitions: 1, Compact: true}, codec[schemas.ReplayMark]())
)

// DeadLetters keeps rejected records, whole and with their coordinates.
var DeadLetters = Of(Spec{Name: "dwell.dead-letters.v1", Partitions: 1, Retention: 30 * day, MaxMessageBytes: 4 << 20}, codec[schemas.DeadLetter]())

// Builtin is every topic that dwell itself needs, group tables aside.
func Builtin() []*Spec {
	return []*Spec{
		Events.Spec, Frames.Spec, Facts.Spec, Actions.Spec, Verdicts.Spec, Deliveries.Spec, Exposures.Spec,
		Members.Spec, Traits.Spec, Profiles.Spec, Identities.Spec, Erasures.Spec,
		Declarations.Spec, WriteKeys.Spec, Presences.Spec, Workers.Spec, Replays.Spec, DeadLetters.Spec,
	}
}
