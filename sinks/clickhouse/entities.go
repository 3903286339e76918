package clickhouse

import (
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks"
)

// proto decodes a generated record.
func proto[M any, T schemas.Message[M]](r sinks.Record) (T, error) {
	return schemas.Proto[M, T]{}.Decode(r.Value)
}

func verdictTable() table[*schemas.Verdict] {
	type v = *schemas.Verdict
	return table[v]{
		name:   "verdicts",
		decode: proto[schemas.Verdict, v],
		// A month is a block; a day is the finer, safe side.
		days: func(r v) []int64 { return []int64{r.DecidedMs / dayMS} },
		columns: []column[v]{
			text("id", v.GetId),
			text("tenant", v.GetTenant),
			text("user", v.GetUser),
			text("campaign", v.GetCampaign),
			text("version", v.GetVersion),
			text("verdict", v.GetVerdict),
			text("match_id", v.GetMatchId),
			text("action_id", v.GetActionId),
			text("channel", v.GetChannel),
			text("variant", v.GetVariant),
			text("event_id", v.GetEventId),
			list("event_ids", v.GetEventIds),
			instant("event_time", v.GetEventTimeMs),
			instant("decided_at", v.GetDecidedMs),
			blob("detail", v.GetDetail),
			text("src_topic", v.GetSrcTopic),
			int32s("src_partition", v.GetSrcPartition),
			int64s("src_offset", v.GetSrcOffset),
			logged[v](),
		},
	}
}

func actionTable() table[*schemas.Action] {
	type a = *schemas.Action
	return table[a]{
		name:   "actions",
		decode: proto[schemas.Action, a],
		columns: []column[a]{
			text("action_id", a.GetId),
			text("tenant", a.GetTenant),
			text("user", a.GetUser),
			text("campaign", a.GetCampaign),
			text("version", a.GetVersion),
			text("variant", a.GetVariant),
			text("channel", a.GetChannel),
			text("content", a.GetContent),
			text("slot", a.GetSlot),
			int32s("priority", a.GetPriority),
			instant("decided_at", a.GetDecidedMs),
			// 0 stays 0: it never expires.
			one("expires_at", instantKind, func(r a) int64 { return tellable(r.ExpiresMs, 0) }),
			text("match_id", a.GetMatchId),
			text("event_id", a.GetEventId),
			blob("payload", a.GetPayload),
			logged[a](),
		},
	}
}

func exposureTable() table[*schemas.Exposure] {
	type e = *schemas.Exposure
	return table[e]{
		name:   "exposure_ledger",
		decode: proto[schemas.Exposure, e],
		columns: []column[e]{
			text("id", e.GetId),
			text("tenant", e.GetTenant),
			text("user", e.GetUser),
			text("page_view", e.GetPageView),
			text("slot", e.GetSlot),
			text("fill", e.GetFill),
			count("n", e.GetN),
			text("campaign", e.GetCampaign),
			text("creative", e.GetCreative),
			text("placement", e.GetPlacement),
			int64s("sec_from", e.GetSecFrom),
			int64s("sec_to", e.GetSecTo),
			int64s("exposed_ms", e.GetExposedMs),
			int64s("full_ms", e.GetFullMs),
			int64s("engaged_ms", e.GetEngagedMs),
			int64s("max_run_ms", e.GetMaxRunMs),
			int64s("tail_ms", e.GetTailMs),
			int64s("overlap_ms", e.GetOverlapMs),
			flag("viewable", e.GetViewable),
			int64s("viewable_ct_ms", e.GetViewableCtMs),
			int64s("billable_s", e.GetBillableS),
			count("first_seq", e.GetFirstSeq),
			count("last_seq", e.GetLastSeq),
			flag("closed", e.GetClosed),
			list("flags", e.GetFlags),
			text("rules_hash", e.GetRulesHash),
			instant("started_at", e.GetStartedMs),
			instant("updated_at", e.GetUpdatedMs),
			text("src_topic", e.GetSrcTopic),
			int32s("src_partition", e.GetSrcPartition),
			int64s("src_offset", e.GetSrcOffset),
			logged[e](),
		},
	}
}

func letterTable() table[*schemas.DeadLetter] {
	type d = *schemas.DeadLetter
	return table[d]{
		name:   "dead_letters",
		decode: proto[schemas.DeadLetter, d],
		columns: []column[d]{
			text("topic", d.GetTopic),
			int32s("partition", d.GetPartition),
			int64s("offset", d.GetOffset),
			blob("key", d.GetKey),
			blob("wake_key", func(r d) []byte {
				if r.WakeMs == 0 {
					return nil
				}
				return r.Key
			}),
			// 0 stays 0: it was a record.
			one("wake_at", instantKind, func(r d) int64 { return tellable(r.WakeMs, 0) }),
			blob("value", d.GetValue),
			text("rejected_by", d.GetBy),
			text("error", d.GetError),
			text("stack", d.GetStack),
			instant("time", d.GetTimeMs),
			logged[d](),
		},
	}
}
