package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// call makes one call of the gateway's API until it is taken.
func (s *site) call(kind, body string) {
	s.t.Helper()
	waitFor(s.t, func() bool {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url("/v1/"+kind), bytes.NewBufferString(body))
		if err != nil {
			s.t.Fatal(err)
		}
		req.SetBasicAuth("demo", "")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, func() string { return kind + " " + body + " is not taken" })
}

// win is a bet that somebody won; who is a user id, an anonymous id or both, as JSON.
func (s *site) win(id, who string) {
	s.t.Helper()
	s.call("track", fmt.Sprintf(`{%s,"event":"bet_settled","messageId":%q,"properties":{"result":"win"}}`, who, id))
}

func (s *site) identify(id, anonymous, user string) {
	s.t.Helper()
	s.call("identify", fmt.Sprintf(`{"anonymousId":%q,"userId":%q,"messageId":%q}`, anonymous, user, id))
}

func streaks(user string) string {
	return fmt.Sprintf("SELECT groupArray((verdict, event_ids)) FROM (SELECT DISTINCT id, verdict, event_ids FROM verdicts WHERE tenant='demo' AND campaign='hot-streak' AND verdict='SENT' AND user='%s')", user)
}

func factsOf(user string) string {
	return fmt.Sprintf("SELECT arraySort(groupArray(event_id)) FROM events WHERE tenant='demo' AND user='%s'", user)
}

func TestThreeWinsOfAVisitorWhoLogsInBringOnePopup(t *testing.T) {
	s := start(t, backend{name: "embedded"})
	s.win("w1", `"anonymousId":"phone-1"`)
	s.win("w2", `"anonymousId":"phone-1"`)
	s.identify("i1", "phone-1", "ann")
	s.win("w3", `"anonymousId":"phone-1","userId":"ann"`)
	s.eventually(streaks("ann"), "[('SENT',['w1','w2','w3'])]")
	s.eventually("SELECT groupUniqArray(user) FROM actions WHERE tenant='demo' AND campaign='hot-streak'", "['ann']")
	// What comes later with the anonymous id only is hers; what came before stays where it was counted.
	s.win("w4", `"anonymousId":"phone-1"`)
	s.win("w4", `"anonymousId":"phone-1"`)
	s.eventually(factsOf("ann"), "['i1','w3','w4']")
	s.eventually(factsOf("~phone-1"), "['w1','w2']")
	s.eventually("SELECT uniqExact(id) FROM verdicts WHERE tenant='demo' AND user='ann' AND verdict='DUPLICATE'", "1")
	holds(t, s.dwell("campaign", "why", "hot-streak", "--user", "ann"), "Events of ~phone-1 are the user's", "w1", "w2", "as ~phone-1", "MATCHED", "SENT")

	out := s.dwell("erase", "--user", "ann")
	holds(t, out, "ann: erased", "1 ids that pointed here", "ALTER TABLE events DELETE WHERE tenant = 'demo' AND user IN ('ann', '~phone-1')", "SUPPRESSED")
	s.win("w5", `"userId":"ann"`)
	s.win("w6", `"anonymousId":"phone-1"`) // nobody's again
	s.eventually("SELECT groupArray(event_id) FROM (SELECT DISTINCT event_id FROM verdicts WHERE tenant='demo' AND user='ann' AND verdict='SUPPRESSED')", "['w5']")
	s.eventually(factsOf("~phone-1"), "['w1','w2','w6']")
	holds(t, s.dwell("campaign", "why", "hot-streak", "--user", "ann"), "The user was erased at")
	holds(t, s.dwell("erase", "--user", "ann", "--lift"), "ann: no longer suppressed")
	s.win("w7", `"userId":"ann"`)
	s.eventually(factsOf("ann"), "['i1','w3','w4','w7']")
	holds(t, s.dwell("replay-check", "engage"), "differences   0")
}

func TestMergesGoOnWhereAKilledWorkerLeftThem(t *testing.T) {
	s := start(t, backend{name: "embedded"})
	const users, kills = 60, 4
	for i := range users {
		phone := fmt.Sprintf("phone-%d", i)
		anonymous := fmt.Sprintf(`"anonymousId":%q`, phone)
		s.win(fmt.Sprint("a", i), anonymous)
		s.win(fmt.Sprint("b", i), anonymous)
		s.identify(fmt.Sprint("i", i), phone, fmt.Sprint("u", i))
		if i%(users/kills) == users/kills/2 {
			s.kill("worker")
		}
		s.win(fmt.Sprint("c", i), anonymous) // follows the pointer, or the hand-over
	}
	s.back("worker", 1)
	s.eventually("SELECT (count(), uniqExact(user), uniqExact(match_id)) FROM (SELECT DISTINCT id, user, match_id FROM verdicts WHERE tenant='demo' AND campaign='hot-streak' AND verdict='SENT')", fmt.Sprintf("(%d,%[1]d,%[1]d)", users))
	var wrong []string
	for _, row := range s.query("SELECT user, event_ids FROM verdicts WHERE tenant='demo' AND campaign='hot-streak' AND verdict='SENT'") {
		who, ids, _ := strings.Cut(row, "\t")
		n := strings.TrimLeft(who, "~phone-u")
		if ids != fmt.Sprintf("['a%s','b%[1]s','c%[1]s']", n) {
			wrong = append(wrong, row)
		}
	}
	if len(wrong) > 0 {
		t.Errorf("matches are of other events: %v", wrong)
	}
	s.eventually("SELECT count() * 1000 + uniqExact(event_id) FROM events WHERE tenant='demo'", fmt.Sprint(users*4*1000+users*4))
	holds(t, s.dwell("replay-check", "engage"), "differences   0")
}
